package server

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/smallstep/scep"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// TestBadEnrolments: what devices must not send, and what somebody sends in their name, by
// EST and by SCEP: each is answered by the protocol's own error, nothing is issued, and
// nothing is lost: a device that was named in all of it renews by either afterwards.
func TestBadEnrolments(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device", pki.ProtocolEST)
	nobody := caller{t: t, s: s, roots: bootstrapOf(t, s)}
	nobody.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	_, secret, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	good, revoked := enrolled(t, s, "gateway-1", secret.Reveal()), enrolled(t, s, "gateway-2", secret.Reveal())
	revoke(t, s, st.Permit(t, "acme", access.Revoke), revoked.Signer)
	fresh := newSCEP(t, s, "acme.device") // has no certificate yet
	overTLS := func(c *scepclient.Client) caller {
		by := nobody
		by.key, by.chain = c.Key, [][]byte{c.Signer.Raw}
		return by
	}

	csr := func(name string, a ...pandotest.Attribute) []byte {
		return pandotest.CSRWith(t, pandotest.Key(t, pki.RSA2048), pkix.Name{CommonName: name}, a...)
	}
	b64 := func(der []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(der)) }
	est := func(operation string, by *scepclient.Client, body []byte, headers ...string) func() string {
		return func() string {
			return strconv.Itoa(overTLS(by).est("POST", estPath("acme.device", operation), body, headers...).StatusCode)
		}
	}
	post := func(contentType string, body []byte) func() string {
		return func() string {
			answer, err := http.Post(good.URL+"?operation=PKIOperation", contentType, bytes.NewReader(body))
			return scepCode(t, good, answer, err)
		}
	}
	ask := func(by *scepclient.Client, kind scep.MessageType, csr []byte) func() string {
		return func() string {
			got := by.Ask(kind, csr)
			return string(got.PKIStatus) + string(got.FailInfo)
		}
	}
	const message = "application/x-pki-message"
	const badMessageCheck, badRequest = string(scep.FAILURE + "1"), string(scep.FAILURE + "2")
	whole := good.Message(19, "1", scepclient.Nonce(), good.Seal(csr("gateway-1")))
	endless, deep := bytes.Repeat([]byte{0x30, 0x80}, 20_000), nested(15_000)
	astray := *good
	astray.RA = []*x509.Certificate{encrypting(good.Signer)}
	keyFor := func(id []byte) pandotest.Attribute {
		return pandotest.Attribute{OID: der.OIDAsymmetricDecryptKeyIdentifier, Value: der.Append(nil, asn1.OCTET_STRING, id)}
	}
	// ChangeSubjectName (RFC 6402, 2.8), which is not read.
	changed := pandotest.Attribute{OID: "1.3.6.1.5.5.7.7.36", Value: der.Append(nil, asn1.SEQUENCE, good.Signer.RawSubject)}
	forged := csr("gateway-1") // whose signature is that of another request
	copy(forged[len(forged)-256:], csr("gateway-1")[len(forged)-256:])

	before := certificatesStored(t, s)
	for _, c := range []struct {
		what     string
		est      func() string
		estCode  string
		scep     func() string
		scepCode string
	}{
		{"garbage base64", est("simpleenroll", good, []byte("!!!!")), "400", func() string {
			answer, err := http.Get(good.URL + "?operation=PKIOperation&message=" + url.QueryEscape("!!!!"))
			return scepCode(t, good, answer, err)
		}, "400"},
		// SCEP's clients send whatever Content-Type: it is not looked at, and what comes is.
		{"wrong content type", est("simpleenroll", good, b64(csr("gateway-1")), "Content-Type", "application/json"), "415", post("application/json", []byte(`{}`)), "400"},
		{"oversized", est("simpleenroll", good, bytes.Repeat([]byte("A"), 1<<20)), "413", post(message, make([]byte, 1<<20)), "413"},
		{"truncated CMS", est("simpleenroll", good, b64(whole[:len(whole)-100])), "400", post(message, whole[:len(whole)-100]), "400"},
		{"CMS where a request should be", est("simpleenroll", good, b64(whole)), "400", post(message, csr("gateway-1")), "400"},
		{"BER without end", est("simpleenroll", good, b64(endless)), "400", post(message, endless), "400"},
		{"BER nested deep", est("simpleenroll", good, b64(deep)), "400", post(message, deep), "400"},
		{"BER without end for the renewal, or within the envelope", est("simplereenroll", good, b64(endless)), "400",
			post(message, good.Message(19, "2", scepclient.Nonce(), good.Seal(endless))), badMessageCheck},
		{"BER without end for a key, or as the envelope", est("serverkeygen", good, b64(endless)), "400",
			post(message, good.Message(19, "3", scepclient.Nonce(), endless)), badRequest},
		{"wrong recipient", est("serverkeygen", good, b64(csr("gateway-1", keyFor(revoked.Signer.SubjectKeyId)))), "403", post(message, good.Message(19, "5", scepclient.Nonce(), astray.Seal(csr("gateway-1")))), badMessageCheck},
		{"a request signed by another key than its own", est("simpleenroll", good, b64(forged)), "400", ask(good, scep.RenewalReq, forged), badMessageCheck},
		{"a request that is not the signer's", est("simpleenroll", good, b64(csr("gateway-3"))), "403", ask(fresh, scep.PKCSReq, scepclient.CSR(t, pandotest.Key(t, pki.RSA2048), "gateway-3", secret.Reveal())), badMessageCheck},
		{"a certificate that proves its device, and a secret that proves nobody", est("simplereenroll", good, b64(csr("gateway-1")), "Authorization", "Basic "+string(b64([]byte("gateway-1:0123456789")))), "401",
			ask(good, scep.RenewalReq, scepclient.CSR(t, pandotest.Key(t, pki.RSA2048), "gateway-1", "0123456789")), badMessageCheck},
		{"re-enrolment with another subject", est("simplereenroll", good, b64(csr("gateway-3"))), "403", ask(good, scep.RenewalReq, csr("gateway-3")), badRequest},
		{"re-enrolment with another subject, which it asks for", est("simplereenroll", good, b64(csr("gateway-3", changed))), "403", ask(good, scep.RenewalReq, csr("gateway-3", changed)), badRequest},
		{"revoked client certificate", est("simpleenroll", revoked, b64(csr("gateway-2"))), "401", ask(revoked, scep.RenewalReq, csr("gateway-2")), badMessageCheck},
		{"revoked client certificate renews", est("simplereenroll", revoked, b64(csr("gateway-2"))), "401", ask(revoked, scep.PKCSReq, csr("gateway-2")), badMessageCheck},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := c.est(); got != c.estCode {
				t.Errorf("EST: %s, want %s", got, c.estCode)
			}
			if got := c.scep(); got != c.scepCode {
				t.Errorf("SCEP: %s, want %s", got, c.scepCode)
			}
			if now := certificatesStored(t, s); now != before {
				t.Fatalf("%d certificates are there, %d were", now, before)
			}
		})
	}
	certificates(t, overTLS(good).est("POST", estPath("acme.device", "simplereenroll"), b64(csr("gateway-1"))))
	for _, challenge := range []string{"", secret.Reveal()} {
		if got := good.Ask(scep.RenewalReq, scepclient.CSR(t, pandotest.Key(t, pki.RSA2048), "gateway-1", challenge)); got.PKIStatus != scep.SUCCESS {
			t.Errorf("with the challenge %t: status %s, failInfo %q", challenge != "", got.PKIStatus, got.FailInfo)
		}
	}
	renewal := good.Message(17, "4", scepclient.Nonce(), good.Seal(csr("gateway-1")))
	if got := post("application/octet-stream", renewal)(); got != string(scep.SUCCESS) {
		t.Errorf("a good message of another type: %s", got)
	}
	if now := certificatesStored(t, s); now != before+4 {
		t.Errorf("%d certificates are there, %d were, and four were issued", now, before)
	}
}

// scepCode returns how a message was answered: a status of HTTP, or a pkiStatus with its
// failInfo.
func scepCode(t *testing.T, c *scepclient.Client, answer *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		return strconv.Itoa(answer.StatusCode)
	}
	got, err := scep.ParsePKIMessage(body, scep.WithCACerts(c.RA))
	if err != nil {
		t.Fatal(err)
	}
	return string(got.PKIStatus) + string(got.FailInfo)
}

// revoke revokes a certificate that the server issued.
func revoke(t *testing.T, s *Server, g access.Permit, c *x509.Certificate) {
	t.Helper()
	all, _, err := s.store.ScanCertificates(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(one *pki.Certificate) bool { return bytes.Equal(one.DER, c.Raw) })
	if at < 0 {
		t.Fatalf("no certificate of %s", c.Subject)
	}
	if _, err := s.revocation.Revoke(t.Context(), g, all[at].Issuer, all[at].Serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
}

// nested returns so many SEQUENCEs in one another, each with its length.
func nested(depth int) []byte {
	var b []byte
	for range depth {
		if b = der.Append(nil, asn1.SEQUENCE, b); len(b) > 60<<10 {
			break
		}
	}
	return b
}

// encrypting returns the certificate as one to encrypt to, for a client that looks for
// such a one.
func encrypting(c *x509.Certificate) *x509.Certificate {
	to := *c
	to.KeyUsage = x509.KeyUsageKeyEncipherment
	return &to
}
