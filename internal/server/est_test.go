package server

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"path"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// estPath is where the operations of an endpoint are.
func estPath(label, operation string) string { return "/.well-known/est/" + label + "/" + operation }

// est sends a request to an operation of EST; headers come in pairs.
func (c caller) est(method, path string, body []byte, headers ...string) *http.Response {
	c.t.Helper()
	if body != nil {
		headers = append([]string{"Content-Type", "application/pkcs10"}, headers...)
	}
	return c.send(method, path, body, headers...)
}

// certificates reads a certs-only answer with an implementation that is not ours. Its
// headers are those of RFC 7030, 4.1.3 and 4.2.3.
func certificates(t *testing.T, answer *http.Response) []*x509.Certificate {
	t.Helper()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", answer.Status, text)
	}
	der, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || answer.ContentLength != int64(len(text)) {
		t.Fatalf("%d bytes, %d announced: %v", len(text), answer.ContentLength, err)
	}
	message, err := pkcs7.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	media, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	enrols := path.Base(answer.Request.URL.Path) != "cacerts"
	if err != nil || media != "application/pkcs7-mime" || enrols && parameters["smime-type"] != "certs-only" || answer.Header.Get("Content-Transfer-Encoding") != "base64" {
		t.Errorf("%s: the headers are %v", answer.Request.URL.Path, answer.Header)
	}
	return message.Certificates
}

// goesOn returns the request, in base64, that renews a certificate: its subject, its
// names, a key.
func goesOn(t *testing.T, old *x509.Certificate, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.CertificateRequest{RawSubject: old.RawSubject}
	for _, e := range old.Extensions {
		if e.Id.String() == "2.5.29.17" {
			template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: e.Id, Value: e.Value})
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(base64.StdEncoding.EncodeToString(csr))
}

// takesEST has an endpoint take EST.
func takesEST(t *testing.T, s *Server, st *stack.Stack, tenant pki.TenantID, endpoint string) {
	t.Helper()
	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, tenant, access.ManageEndpoints), enroll.NewEndpoint{
		Name: endpoint, Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolEST}}); err != nil {
		t.Fatal(err)
	}
}

// TestEST: a device gets the authorities' certificates from a server that it has no
// credentials for, enrols by its certificate, and renews.
func TestEST(t *testing.T) {
	s, st, meter, _ := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})

	nobody := meter
	nobody.chain = nil
	authorities := certificates(t, nobody.est("GET", estPath("acme.meter", "cacerts"), nil))
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range authorities {
		if bytes.Equal(c.RawSubject, c.RawIssuer) {
			roots.AddCert(c)
		} else {
			between.AddCert(c)
		}
	}
	if len(authorities) != 2 {
		t.Errorf("%d certificates of authorities, want the issuing one and the root", len(authorities))
	}
	if answer := nobody.est("POST", estPath("acme.meter", "simpleenroll"), []byte(csrOf(t, pandotest.Key(t, pki.P256), "SM-1"))); answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") != `Basic realm="EST"` {
		t.Errorf("nobody: %s, %v", answer.Status, answer.Header)
	}

	fresh := pandotest.Key(t, pki.P256)
	request := []byte(csrOf(t, fresh, "SM-1"))
	first := certificates(t, meter.est("POST", estPath("acme.meter", "simpleenroll"), request))
	if len(first) != 1 || !bytes.Equal(first[0].RawSubjectPublicKeyInfo, spki(t, fresh)) {
		t.Fatalf("%d certificates", len(first))
	}
	if _, err := first[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if again := certificates(t, meter.est("POST", estPath("acme.meter", "simpleenroll"), request)); !again[0].Equal(first[0]) {
		t.Error("the same request again got another certificate")
	}

	next := meter
	next.key, next.chain = fresh, [][]byte{first[0].Raw, meter.chain[1]}
	newest := pandotest.Key(t, pki.P256)
	renewed := certificates(t, next.est("POST", estPath("acme.meter", "simplereenroll"), goesOn(t, first[0], newest)))
	if !bytes.Equal(renewed[0].RawSubject, first[0].RawSubject) || renewed[0].SerialNumber.Cmp(first[0].SerialNumber) == 0 {
		t.Errorf("renewed %v as %v", first[0].Subject, renewed[0].Subject)
	}
	if answer := next.est("POST", estPath("acme.meter", "simplereenroll"), []byte(csrOf(t, pandotest.Key(t, pki.P256), "SM-1"))); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a renewal with less than its subject: %s", answer.Status)
	}

	_, secret, err := s.tokens.Create(t.Context(), st.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: "ra", Role: access.RAOperator})
	if err != nil {
		t.Fatal(err)
	}
	if got := certificates(t, nobody.est("POST", estPath("acme.meter", "simpleenroll"), []byte(csrOf(t, pandotest.Key(t, pki.P256), "SM-9")), "Authorization", "Bearer "+secret.Reveal())); got[0].Subject.SerialNumber != "SM-9" {
		t.Errorf("by token: %v", got[0].Subject)
	}
	if answer := nobody.est("POST", estPath("acme.meter", "simplereenroll"), request, "Authorization", "Bearer "+secret.Reveal()); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a renewal of nothing: %s", answer.Status)
	}
}

func spki(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}
