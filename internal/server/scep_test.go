package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/trust"
)

// A scepClient speaks SCEP by smallstep/scep.
type scepClient struct {
	t      *testing.T
	url    string
	key    *rsa.PrivateKey
	signer *x509.Certificate // of key
	ra     []*x509.Certificate
}

// modern has smallstep/pkcs7 use SHA-256 and AES until the test ends: it keeps both in
// variables.
func modern(t *testing.T) {
	cipher := pkcs7.ContentEncryptionAlgorithm
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pkcs7.ContentEncryptionAlgorithm = cipher
		_ = pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1)
	})
}

// newSCEP returns a client of an endpoint with a new key and its own certificate of it.
func newSCEP(t *testing.T, s *Server, label string) *scepClient {
	t.Helper()
	modern(t)
	c := &scepClient{t: t, url: s.URL("http") + "/scep/" + label, key: pandotest.Key(t, pki.RSA2048).(*rsa.PrivateKey)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "self"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	c.signer = pandotest.Parse(t, raw)
	c.ra = c.certificates()
	return c
}

func (c *scepClient) get(operation string) (body []byte, contentType string) {
	c.t.Helper()
	answer, err := http.Get(c.url + "?operation=" + operation)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s: %s, %v", operation, answer.Status, body, err)
	}
	return body, answer.Header.Get("Content-Type")
}

// certificates returns what GetCACert answers.
func (c *scepClient) certificates() []*x509.Certificate {
	c.t.Helper()
	body, contentType := c.get("GetCACert")
	all, err := scep.CACerts(body)
	if err != nil || contentType != "application/x-x509-ca-ra-cert" {
		c.t.Fatalf("%s: %v", contentType, err)
	}
	return all
}

// recipient returns the certificate to encrypt to.
func (c *scepClient) recipient() []*x509.Certificate {
	return scep.EnciphermentCertsSelector().SelectCerts(c.ra)
}

// ask sends a request and returns what answers it.
func (c *scepClient) ask(kind scep.MessageType, csr []byte) *scep.PKIMessage {
	c.t.Helper()
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		c.t.Fatal(err)
	}
	message, err := scep.NewCSRRequest(request, &scep.PKIMessage{MessageType: kind, Recipients: c.recipient(), SignerKey: c.key, SignerCert: c.signer})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.post(message.Raw)
}

// post sends a message and returns what answers it, opened where it is a success.
func (c *scepClient) post(message []byte) *scep.PKIMessage {
	c.t.Helper()
	answer, err := http.Post(c.url+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(message))
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s, %v", answer.Status, body, err)
	}
	got, err := scep.ParsePKIMessage(body, scep.WithCACerts(c.ra))
	if err != nil {
		c.t.Fatal(err)
	}
	if got.PKIStatus == scep.SUCCESS {
		if err := got.DecryptPKIEnvelope(c.signer, c.key); err != nil {
			c.t.Fatal(err)
		}
	}
	return got
}

// takesSCEP has an endpoint take SCEP, and other protocols.
func takesSCEP(t *testing.T, s *Server, st *stack.Stack, endpoint string, more ...pki.Protocol) {
	t.Helper()
	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: endpoint, Protocols: append(more, pki.ProtocolREST, pki.ProtocolSCEP)}); err != nil {
		t.Fatal(err)
	}
}

// challenged returns a request with a challenge.
func challenged(t *testing.T, key crypto.Signer, name, challenge string) []byte {
	t.Helper()
	raw, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, SignatureAlgorithm: x509.SHA256WithRSA}, ChallengePassword: challenge,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func refusedBy(t *testing.T, a *scep.PKIMessage, want scep.FailInfo) {
	t.Helper()
	if a.PKIStatus != scep.FAILURE || a.FailInfo != want {
		t.Errorf("status %s, failInfo %q", a.PKIStatus, a.FailInfo)
	}
}

// TestSCEP: a device enrols by a challenge, once by one that is for one certificate, and
// nobody by another.
func TestSCEP(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device", "meter")
	takesSCEP(t, s, st, "device")
	takesSCEP(t, s, st, "meter")
	secret := func(n enrolauth.NewSecret) string {
		t.Helper()
		n.Life = time.Hour
		_, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), n)
		if err != nil {
			t.Fatal(err)
		}
		return text.Reveal()
	}
	c := newSCEP(t, s, "acme.device")
	csr := challenged(t, c.key, "gateway-1", secret(enrolauth.NewSecret{Endpoint: "device", Once: true}))
	first := c.ask(scep.PKCSReq, csr)
	if first.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", first.PKIStatus, first.FailInfo)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, one := range c.ra {
		if bytes.Equal(one.RawSubject, one.RawIssuer) {
			roots.AddCert(one)
		} else {
			between.AddCert(one)
		}
	}
	if _, err := first.Certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if first.Certificate.Subject.CommonName != "gateway-1" {
		t.Errorf("a certificate of %s", first.Certificate.Subject)
	}
	if again := c.ask(scep.PKCSReq, csr); again.PKIStatus != scep.SUCCESS || !again.Certificate.Equal(first.Certificate) {
		t.Error("the same request again got another certificate")
	}
	other := newSCEP(t, s, "acme.device")
	for name, challenge := range map[string]string{
		"none": "", "made up": "0123456789abcdef", "of another endpoint": secret(enrolauth.NewSecret{Endpoint: "meter"}),
	} {
		t.Run("challenge "+name, func(t *testing.T) {
			refusedBy(t, other.ask(scep.PKCSReq, challenged(t, other.key, "gateway-2", challenge)), scep.BadMessageCheck)
		})
	}
	used, err := x509util.ParseChallengePassword(csr)
	if err != nil {
		t.Fatal(err)
	}
	refusedBy(t, other.ask(scep.PKCSReq, challenged(t, other.key, "gateway-2", used)), scep.BadRequest)

	reusable := secret(enrolauth.NewSecret{Endpoint: "device"})
	for _, name := range []string{"gateway-3", "gateway-4"} {
		each := newSCEP(t, s, "acme.device")
		if got := each.ask(scep.PKCSReq, challenged(t, each.key, name, reusable)); got.PKIStatus != scep.SUCCESS || got.Certificate.Subject.CommonName != name {
			t.Errorf("%s: status %s", name, got.PKIStatus)
		}
	}
}

// TestSCEPCertificates: the keys that a client encrypts to and verifies by are neither the
// authority's nor one another, and their certificates lead to the root.
func TestSCEPCertificates(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	c := newSCEP(t, s, "acme.device")
	usages := make(map[x509.KeyUsage]int)
	keys := make(map[string]bool)
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, one := range c.ra {
		switch {
		case bytes.Equal(one.RawSubject, one.RawIssuer):
			roots.AddCert(one)
		case one.IsCA:
			between.AddCert(one)
		default:
			usages[one.KeyUsage]++
		}
		keys[string(one.RawSubjectPublicKeyInfo)] = true
	}
	if len(c.ra) != 4 || len(keys) != 4 || usages[x509.KeyUsageDigitalSignature] != 1 || usages[x509.KeyUsageKeyEncipherment] != 1 {
		t.Fatalf("%d certificates of %d keys, for %v", len(c.ra), len(keys), usages)
	}
	for _, one := range c.ra {
		if _, err := one.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", one.Subject, err)
		}
	}
	if again := c.certificates(); len(again) != 4 || !again[0].Equal(c.ra[0]) || !again[3].Equal(c.ra[3]) {
		t.Error("the next client is told others")
	}
}

// TestSCEPRenewal: a device renews by the certificate that it has, and not by another
// way.
func TestSCEPRenewal(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	c := newSCEP(t, s, "acme.device")
	first, err := s.enroll.Enroll(t.Context(), enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "device", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, c.key, pkix.Name{CommonName: "gateway-1"})}})
	if err != nil {
		t.Fatal(err)
	}
	old := pandotest.Parse(t, first.Certificate.DER)
	fresh := pandotest.Key(t, pki.RSA2048)
	csr := pandotest.CSR(t, fresh, pkix.Name{CommonName: "gateway-1"})

	refusedBy(t, c.ask(scep.RenewalReq, csr), scep.BadMessageCheck) // by a certificate that it made itself
	c.signer = old
	refusedBy(t, c.ask(scep.RenewalReq, csr), scep.BadMessageCheck) // before the authority is trusted
	caller{t: t, s: s}.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	refusedBy(t, c.ask(scep.RenewalReq, pandotest.CSR(t, pandotest.Key(t, pki.RSA2048), pkix.Name{CommonName: "gateway-2"})), scep.BadRequest)

	renewed := c.ask(scep.RenewalReq, csr)
	if renewed.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", renewed.PKIStatus, renewed.FailInfo)
	}
	if !bytes.Equal(renewed.Certificate.RawSubjectPublicKeyInfo, spki(t, fresh)) || !bytes.Equal(renewed.Certificate.RawSubject, old.RawSubject) {
		t.Errorf("renewed as %s", renewed.Certificate.Subject)
	}
	if again := c.ask(scep.RenewalReq, csr); again.PKIStatus != scep.SUCCESS || !again.Certificate.Equal(renewed.Certificate) {
		t.Error("the same request again got another certificate")
	}

	serial, err := pki.SerialFromBytes(old.SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), first.Certificate.Issuer, serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	refusedBy(t, c.ask(scep.RenewalReq, pandotest.CSR(t, pandotest.Key(t, pki.RSA2048), pkix.Name{CommonName: "gateway-1"})), scep.BadMessageCheck)
}

// TestSCEPRotation: the keys are followed by others at half of their life, and what was
// encrypted to the one before is still read.
func TestSCEPRotation(t *testing.T) {
	const day = 24 * time.Hour
	clock := pandotest.NewClock(pandotest.Now().Add(time.Minute))
	s := open(t, newConfig(t), clock.Now)
	issue(t, s)
	st := furnish(t, s, "acme", "device")
	takesSCEP(t, s, st, "device")
	get := func() (signer []byte, recipients [][]byte, keys []crypto.Decrypter) {
		t.Helper()
		ra, err := s.registrars.RA(context.Background(), "acme.device")
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range ra.Recipients {
			recipients, keys = append(recipients, k.Certificate), append(keys, k.Decrypter)
		}
		return ra.Signer.Certificate, recipients, keys
	}
	signer, first, _ := get()
	clock.Advance(40 * day)
	if again, same, _ := get(); !bytes.Equal(again, signer) || len(same) != 1 || !bytes.Equal(same[0], first[0]) {
		t.Error("the keys are others before half of their life")
	}
	clock.Advance(6 * day)
	next, both, keys := get()
	if bytes.Equal(next, signer) || len(both) != 2 || bytes.Equal(both[0], first[0]) || !bytes.Equal(both[1], first[0]) {
		t.Fatalf("%d recipients at half of their life", len(both))
	}
	if !keys[1].Public().(*rsa.PublicKey).Equal(pandotest.Parse(t, first[0]).PublicKey) {
		t.Error("the key before is another")
	}
	clock.Advance(45 * day)
	if _, last, _ := get(); len(last) != 2 || !bytes.Equal(last[1], both[0]) {
		t.Errorf("%d recipients after the end of the first", len(last))
	}
}

// TestSCEPOff: an endpoint takes SCEP only where it is switched on, and is not told from
// none elsewhere.
func TestSCEPOff(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	furnish(t, s, "acme", "device")
	for path, want := range map[string]int{
		"/scep/acme.device?operation=GetCACert": http.StatusNotFound,
		"/scep/acme.none?operation=GetCACert":   http.StatusNotFound,
		"/scep/none?operation=GetCACert":        http.StatusNotFound,
	} {
		answer, err := http.Get(s.URL("http") + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, answer.Status, want)
		}
	}
}

// TestSCEPAlarms: an endpoint that takes legacy messages is among the alarms, and so is one
// without keys; what is mended is taken off.
func TestSCEPAlarms(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	issue(t, s)
	st := furnish(t, s, "acme", "device")
	look := func() (names []string) {
		t.Helper()
		if err := s.registrars.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, a := range s.alarms.Of("acme") {
			if strings.HasPrefix(a.Name, "scep.") {
				names = append(names, a.Name+" "+a.Target)
			}
		}
		return names
	}
	for _, c := range []struct {
		more []pki.Protocol
		want []string
	}{{nil, nil}, {[]pki.Protocol{pki.ProtocolSCEPLegacy}, []string{"scep.legacy endpoint:device"}}, {nil, nil}} {
		takesSCEP(t, s, st, "device", c.more...)
		if diff := cmp.Diff(c.want, look()); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "device", Protocols: []pki.Protocol{pki.ProtocolSCEPLegacy}}); pki.KindOf(err) != pki.Malformed {
		t.Errorf("legacy messages alone: %v", err)
	}
	source, err := packs.Document(policy.SCEPSignerProfile)
	if err != nil {
		t.Fatal(err)
	}
	source = bytes.Replace(source, []byte("[rsa2048, rsa3072]"), []byte("[p256]"), 1)
	if _, err := s.hierarchy.PublishProfile(t.Context(), st.Permit(t, "acme", access.ManageProfiles), source); err != nil {
		t.Fatal(err)
	}
	s.registrars.known = nil
	if diff := cmp.Diff([]string{"scep.keys endpoint:device"}, look()); diff != "" {
		t.Error(diff)
	}
	_, first := s.registrars.RA(t.Context(), "acme.device")
	_, second := s.registrars.RA(t.Context(), "acme.device")
	if first == nil || errors.Unwrap(first) == nil || errors.Unwrap(first) != errors.Unwrap(second) {
		t.Errorf("whoever asks has keys tried for anew: %v, %v", first, second)
	}
}

// poll sends a CertPoll, which smallstep/scep does not make, and returns what answers it.
func (c *scepClient) poll(id string, subject []byte) *scep.PKIMessage {
	c.t.Helper()
	printable := func(oid, text string) cms.Attribute {
		return cms.Attribute{OID: oid, Value: der.Append(nil, asn1.PrintableString, []byte(text))}
	}
	issuer := c.recipient()[0]
	envelope, err := cms.Encrypt(cms.Envelope{Content: der.Append(nil, asn1.SEQUENCE, slices.Concat(issuer.RawIssuer, subject)), Cipher: cms.AES128CBC},
		cms.Recipient{Certificate: issuer.Raw})
	if err != nil {
		c.t.Fatal(err)
	}
	message, err := cms.Sign(cms.Message{Content: envelope, Certificates: [][]byte{c.signer.Raw}}, cms.Signer{Key: c.key, Certificate: c.signer.Raw, Attributes: []cms.Attribute{
		printable("2.16.840.1.113733.1.9.2", "20"), printable("2.16.840.1.113733.1.9.7", id),
		{OID: "2.16.840.1.113733.1.9.5", Value: der.Append(nil, asn1.OCTET_STRING, make([]byte, 16))},
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.post(message)
}

// TestSCEPApproval: what waits for approval is PENDING, also for who polls, until somebody
// approves it; then the poll and the request itself get the one certificate.
func TestSCEPApproval(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st := furnishGuarded(t, s)
	_, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "guarded", Once: true, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c := newSCEP(t, s, "acme.guarded")
	csr := challenged(t, c.key, "gateway-1", text.Reveal())
	asked := c.ask(scep.PKCSReq, csr)
	if asked.PKIStatus != scep.PENDING {
		t.Fatalf("status %s, failInfo %q", asked.PKIStatus, asked.FailInfo)
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		t.Fatal(err)
	}
	id := string(asked.TransactionID)
	if got := c.poll(id, request.RawSubject); got.PKIStatus != scep.PENDING {
		t.Errorf("a poll before approval: status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
	refusedBy(t, c.poll("another", request.RawSubject), scep.BadCertID)

	st.Tokens = s.tokens
	officer := st.Appoint(t, "acme", "officer", access.SecurityOfficer)
	g, err := officer.Authorize(access.DecideApprovals, "acme")
	if err != nil {
		t.Fatal(err)
	}
	waiting, _, err := s.approvals.Changes(t.Context(), st.Permit(t, "acme", access.ReadApprovals), approval.Pending, "", 10)
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%d changes wait, %v", len(waiting), err)
	}
	if done, err := s.approvals.Decide(t.Context(), g, waiting[0].ID, approval.Approve, waiting[0].Hash, ""); err != nil || done.State != approval.Executed {
		t.Fatalf("%+v, %v", done, err)
	}
	polled := c.poll(id, request.RawSubject)
	if polled.PKIStatus != scep.SUCCESS || polled.Certificate.Subject.CommonName != "gateway-1" {
		t.Fatalf("status %s, failInfo %q", polled.PKIStatus, polled.FailInfo)
	}
	if again := c.ask(scep.PKCSReq, csr); again.PKIStatus != scep.SUCCESS || !again.Certificate.Equal(polled.Certificate) {
		t.Error("the request itself got another certificate")
	}
}
