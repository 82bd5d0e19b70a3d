package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
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
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/trust"
)

// newSCEP returns a client of an endpoint.
func newSCEP(t *testing.T, s *Server, label string) *scepclient.Client {
	t.Helper()
	return scepclient.New(t, s.URL("http")+"/scep/"+label)
}

// takesSCEP has an endpoint take SCEP, and other protocols.
func takesSCEP(t *testing.T, s *Server, st *stack.Stack, endpoint string, more ...pki.Protocol) {
	t.Helper()
	if _, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: endpoint, Protocols: append(more, pki.ProtocolREST, pki.ProtocolSCEP)}); err != nil {
		t.Fatal(err)
	}
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
	once := secret(enrolauth.NewSecret{Endpoint: "device", Once: true})
	// What is refused uses nothing up.
	refusedBy(t, c.Ask(scep.PKCSReq, scepclient.CSR(t, pandotest.Key(t, pki.RSA2048), "gateway-1", once)), scep.BadMessageCheck)
	refusedBy(t, c.Ask(scep.PKCSReq, scepclient.CSR(t, c.Key, "gateway\x01", once)), scep.BadRequest)
	csr := scepclient.CSR(t, c.Key, "gateway-1", once)
	first := c.Ask(scep.PKCSReq, csr)
	if first.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", first.PKIStatus, first.FailInfo)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, one := range c.RA {
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
	if again := c.Ask(scep.PKCSReq, csr); again.PKIStatus != scep.SUCCESS || !again.Certificate.Equal(first.Certificate) {
		t.Error("the same request again got another certificate")
	}
	other := newSCEP(t, s, "acme.device")
	for name, challenge := range map[string]string{
		"none": "", "made up": "0123456789abcdef", "of another endpoint": secret(enrolauth.NewSecret{Endpoint: "meter"}),
	} {
		t.Run("challenge "+name, func(t *testing.T) {
			refusedBy(t, other.Ask(scep.PKCSReq, scepclient.CSR(t, other.Key, "gateway-2", challenge)), scep.BadMessageCheck)
		})
	}
	used, err := x509util.ParseChallengePassword(csr)
	if err != nil {
		t.Fatal(err)
	}
	refusedBy(t, other.Ask(scep.PKCSReq, scepclient.CSR(t, other.Key, "gateway-2", used)), scep.BadRequest)

	reusable := secret(enrolauth.NewSecret{Endpoint: "device"})
	for _, name := range []string{"gateway-3", "gateway-4"} {
		each := newSCEP(t, s, "acme.device")
		if got := each.Ask(scep.PKCSReq, scepclient.CSR(t, each.Key, name, reusable)); got.PKIStatus != scep.SUCCESS || got.Certificate.Subject.CommonName != name {
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
	for _, one := range c.RA {
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
	if len(c.RA) != 4 || len(keys) != 4 || usages[x509.KeyUsageDigitalSignature] != 1 || usages[x509.KeyUsageKeyEncipherment] != 1 {
		t.Fatalf("%d certificates of %d keys, for %v", len(c.RA), len(keys), usages)
	}
	for _, one := range c.RA {
		if _, err := one.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", one.Subject, err)
		}
	}
	if again := c.Certificates(); len(again) != 4 || !again[0].Equal(c.RA[0]) || !again[3].Equal(c.RA[3]) {
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
		Subject: enroll.Subject{CSR: pandotest.CSR(t, c.Key, pkix.Name{CommonName: "gateway-1"})}})
	if err != nil {
		t.Fatal(err)
	}
	old := pandotest.Parse(t, first.Certificate.DER)
	fresh := pandotest.Key(t, pki.RSA2048)
	csr := pandotest.CSR(t, fresh, pkix.Name{CommonName: "gateway-1"})

	refusedBy(t, c.Ask(scep.RenewalReq, csr), scep.BadMessageCheck) // by a certificate that it made itself
	c.Signer = old
	refusedBy(t, c.Ask(scep.RenewalReq, csr), scep.BadMessageCheck) // before the authority is trusted
	caller{t: t, s: s}.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	refusedBy(t, c.Ask(scep.RenewalReq, pandotest.CSR(t, pandotest.Key(t, pki.RSA2048), pkix.Name{CommonName: "gateway-2"})), scep.BadRequest)

	renewed := c.Ask(scep.RenewalReq, csr)
	if renewed.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, failInfo %q", renewed.PKIStatus, renewed.FailInfo)
	}
	if !bytes.Equal(renewed.Certificate.RawSubjectPublicKeyInfo, spki(t, fresh)) || !bytes.Equal(renewed.Certificate.RawSubject, old.RawSubject) {
		t.Errorf("renewed as %s", renewed.Certificate.Subject)
	}
	if again := c.Ask(scep.RenewalReq, csr); again.PKIStatus != scep.SUCCESS || !again.Certificate.Equal(renewed.Certificate) {
		t.Error("the same request again got another certificate")
	}

	serial, err := pki.SerialFromBytes(old.SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), first.Certificate.Issuer, serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	refusedBy(t, c.Ask(scep.RenewalReq, pandotest.CSR(t, pandotest.Key(t, pki.RSA2048), pkix.Name{CommonName: "gateway-1"})), scep.BadMessageCheck)
}

// TestSCEPRotation: the keys are followed by others at half of their life, and what was
// encrypted to the one before is still read.
func TestSCEPRotation(t *testing.T) {
	const day = 24 * time.Hour
	clock := pandotest.NewClock(pandotest.Now().Add(time.Minute))
	s := openAt(t, clock)
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
	later(t, s, clock, 40*day)
	if again, same, _ := get(); !bytes.Equal(again, signer) || len(same) != 1 || !bytes.Equal(same[0], first[0]) {
		t.Error("the keys are others before half of their life")
	}
	later(t, s, clock, 6*day)
	next, both, keys := get()
	if bytes.Equal(next, signer) || len(both) != 2 || bytes.Equal(both[0], first[0]) || !bytes.Equal(both[1], first[0]) {
		t.Fatalf("%d recipients at half of their life", len(both))
	}
	if !keys[1].Public().(*rsa.PublicKey).Equal(pandotest.Parse(t, first[0]).PublicKey) {
		t.Error("the key before is another")
	}
	later(t, s, clock, 45*day)
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

// named returns what a CertPoll carries with a subject, and a GetCert and a GetCRL with a
// serial: the issuer of the client's certificates, and that.
func named(c *scepclient.Client, what []byte) []byte {
	return der.Append(nil, asn1.SEQUENCE, slices.Concat(c.Recipient()[0].RawIssuer, what))
}

// furnishFree is furnishGuarded with an officer, and the profile free besides, which wants
// no approval.
func furnishFree(t *testing.T, s *Server) (*stack.Stack, access.Principal) {
	t.Helper()
	st := furnishGuarded(t, s)
	st.Tokens = s.tokens
	officer := st.Appoint(t, "acme", "officer", access.SecurityOfficer)
	free := strings.NewReplacer("profile: guarded", "profile: free", "approvals:\n  steps: [1 of security-officer]\n  expire: 1h\n", "").Replace(guardedSCEP)
	if _, err := s.hierarchy.PublishProfile(t.Context(), st.Permit(t, "acme", access.ManageProfiles), []byte(free)); err != nil {
		t.Fatal(err)
	}
	return st, officer
}

// TestSCEPApproval: what waits for approval, whether the profile wants it or the endpoint,
// is PENDING, also for who polls, until somebody approves it; then the poll and the request
// itself get the one certificate.
func TestSCEPApproval(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	st, officer := furnishFree(t, s)
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "watched", Authority: "issuing", Profile: "free", Protocols: []pki.Protocol{pki.ProtocolSCEP},
		Approvals: &pki.Approvals{Steps: []pki.ApprovalStep{{Role: "security-officer", N: 1}}}}); err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []string{"guarded", "watched"} {
		t.Run(endpoint, func(t *testing.T) { scepPends(t, s, st, officer, endpoint) })
	}
}

// scepPends sends a request that waits, and has the officer approve it.
func scepPends(t *testing.T, s *Server, st *stack.Stack, officer access.Principal, endpoint string) {
	_, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: endpoint, Once: true, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c := newSCEP(t, s, "acme."+endpoint)
	csr := scepclient.CSR(t, c.Key, "gateway-1", text.Reveal())
	asked := c.Ask(scep.PKCSReq, csr)
	if asked.PKIStatus != scep.PENDING {
		t.Fatalf("status %s, failInfo %q", asked.PKIStatus, asked.FailInfo)
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		t.Fatal(err)
	}
	id := string(asked.TransactionID)
	poll := func(id string) (*scep.PKIMessage, *pkcs7.PKCS7) {
		return c.Query(certPoll, id, named(c, request.RawSubject))
	}
	if got, _ := poll(id); got.PKIStatus != scep.PENDING {
		t.Errorf("a poll before approval: status %s, failInfo %q", got.PKIStatus, got.FailInfo)
	}
	other, _ := poll("another")
	refusedBy(t, other, scep.BadCertID)

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
	polled, carried := poll(id)
	if polled.PKIStatus != scep.SUCCESS || len(carried.Certificates) != 1 || carried.Certificates[0].Subject.CommonName != "gateway-1" {
		t.Fatalf("status %s, failInfo %q", polled.PKIStatus, polled.FailInfo)
	}
	if again := c.Ask(scep.PKCSReq, csr); again.PKIStatus != scep.SUCCESS || !again.Certificate.Equal(carried.Certificates[0]) {
		t.Error("the request itself got another certificate")
	}
}
