package server

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/scep"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/scepclient"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// fieldEST is a profile of a week, whose certificates are renewed for a while after.
const fieldEST = `profile: field
keys: {allow: [p256], renew: {key: same-key, grace: 90d}}
validity: 7d
subject: [{type: serialNumber, from: device.id}]
keyUsage: {use: [digitalSignature]}
keyIdentifiers: [subject, authority]
status: {crl: true}
`

// weekOfSCEP is fieldSCEP for a week.
func weekOfSCEP() string { return strings.Replace(fieldSCEP, "validity: 30d", "validity: 7d", 1) }

// A repeater is a server with an endpoint "field" whose certificates last for a week, and a
// secret there that is good for many.
type repeater struct {
	t      *testing.T
	s      *Server
	st     *stack.Stack
	clock  *pandotest.Clock
	id     pki.SecretID
	secret string
}

func newRepeater(t *testing.T, cfg Config, profile string, protocol pki.Protocol) *repeater {
	t.Helper()
	r := &repeater{t: t, clock: pandotest.NewClock(pandotest.Now())}
	cfg.Limits.Device = Rate{1e6, 1e6} // as openAt
	r.s = open(t, cfg, r.clock.Now)
	run(t, r.s)
	r.st = furnish(t, r.s, "acme", "device")
	r.ok(r.s.hierarchy.PublishProfile(t.Context(), r.st.Permit(t, "acme", access.ManageProfiles), []byte(profile)))
	r.ok(r.s.enroll.CreateEndpoint(t.Context(), r.st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "field", Authority: "issuing", Profile: "field", Protocols: []pki.Protocol{pki.ProtocolREST, protocol}}))
	made, secret, err := r.s.secrets.Create(t.Context(), r.st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "field", Life: 80 * 24 * time.Hour})
	r.ok(made, err)
	r.id, r.secret = made.ID, secret.Reveal()
	return r
}

func (r *repeater) ok(_ any, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// tenDaysLater moves the clock, and waits until the server issues again.
func (r *repeater) tenDaysLater(kind pki.KeyKind) {
	r.t.Helper()
	later(r.t, r.s, r.clock, 10*24*time.Hour)
	request := enroll.Request{Grant: r.st.Permit(r.t, "acme", access.Enroll), Endpoint: "field", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(r.t, pandotest.Key(r.t, kind), pkix.Name{CommonName: "another"})}}
	r.ok(nil, patiently(func() error {
		_, err := r.s.enroll.Enroll(r.t.Context(), request)
		return err
	}))
}

// revoke revokes a certificate of the endpoint's.
func (r *repeater) revoke(c *x509.Certificate) {
	r.t.Helper()
	serial, err := pki.SerialFromBytes(c.SerialNumber.Bytes())
	r.ok(serial, err)
	view, err := r.s.hierarchy.Authority(r.t.Context(), r.st.Permit(r.t, "acme", access.ReadConfiguration), "issuing")
	r.ok(view, err)
	r.ok(nil, patiently(func() error {
		_, err := r.s.revocation.Revoke(r.t.Context(), r.st.Permit(r.t, "acme", access.Revoke), view.Issuers[0].ID, serial, pki.Superseded)
		return err
	}))
}

// differs holds what the same request got before and after the end of that, each twice.
func (r *repeater) differs(what string, before, after [2]*x509.Certificate) {
	r.t.Helper()
	if !before[0].Equal(before[1]) || !after[0].Equal(after[1]) {
		r.t.Errorf("%s: the same request again got another certificate", what)
	}
	if after[0].Equal(before[0]) || !after[0].NotAfter.After(r.clock.Now()) {
		r.t.Errorf("%s: a certificate that ended at %s", what, after[0].NotAfter)
	}
}

// TestESTRepeat: a device that comes with the same octets after the certificate that they led
// to has ended gets another, by a secret that is good for many and, in the grace of the
// profile, by its own certificate; it gets nothing when what they led to is revoked.
func TestESTRepeat(t *testing.T) {
	r := newRepeater(t, newConfig(t), fieldEST, pki.ProtocolEST)
	device := caller{t: t, s: r.s, roots: bootstrapOf(t, r.s), key: pandotest.Key(t, pki.P256)}
	device.trust("acme", trust.NewAnchor{Name: "ours", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "field"}}})
	login := "Basic " + base64.StdEncoding.EncodeToString([]byte(string(r.id)+":"+r.secret))
	csr := []byte(csrOf(t, device.key, "SM-1"))
	twice := func(operation string, body []byte, headers ...string) (got [2]*x509.Certificate) {
		t.Helper()
		for i := range got {
			got[i] = certificates(t, device.est("POST", estPath("acme.field", operation), body, headers...))[0]
		}
		return got
	}
	first := twice("simpleenroll", csr, "Authorization", login)
	r.tenDaysLater(pki.P256)
	second := twice("simpleenroll", csr, "Authorization", login)
	r.differs("enrols", first, second)

	device.chain = [][]byte{second[0].Raw}
	renewal := goesOn(t, second[0], device.key)
	r.tenDaysLater(pki.P256)
	third := twice("simplereenroll", renewal)
	r.tenDaysLater(pki.P256)
	fourth := twice("simplereenroll", renewal)
	r.differs("renews late", third, fourth)
	r.revoke(fourth[0])
	if answer := device.est("POST", estPath("acme.field", "simplereenroll"), renewal); answer.StatusCode != http.StatusForbidden {
		t.Errorf("what it led to is revoked: %s", answer.Status)
	}
}

// TestSCEPRepeat: a device whose PKCSReq comes again in its transaction after the certificate
// that it led to has ended gets another, and a failure when that is revoked; and so does one
// whose RenewalReq comes again.
func TestSCEPRepeat(t *testing.T) {
	r := newRepeater(t, newConfig(t), weekOfSCEP(), pki.ProtocolSCEP)
	caller{t: t, s: r.s}.trust("acme", trust.NewAnchor{Name: "ours", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "field"}}})
	c := newSCEP(t, r.s, "acme.field")
	csr := scepclient.CSR(t, c.Key, "gateway-1", r.secret)
	twice := func(kind scep.MessageType, csr []byte) (got [2]*x509.Certificate) {
		t.Helper()
		for i := range got {
			answer := c.Ask(kind, csr)
			if answer.PKIStatus != scep.SUCCESS {
				t.Fatalf("status %s, failInfo %q", answer.PKIStatus, answer.FailInfo)
			}
			got[i] = answer.Certificate
		}
		return got
	}
	first := twice(scep.PKCSReq, csr)
	r.tenDaysLater(pki.RSA2048)
	second := twice(scep.PKCSReq, csr)
	r.differs("enrols", first, second)

	self := c.Signer
	c.Signer = second[0]
	renewal := scepclient.CSR(t, c.Key, "gateway-1", "")
	r.tenDaysLater(pki.RSA2048)
	third := twice(scep.RenewalReq, renewal)
	r.tenDaysLater(pki.RSA2048)
	fourth := twice(scep.RenewalReq, renewal)
	r.differs("renews late", third, fourth)
	r.revoke(fourth[0])
	refusedBy(t, c.Ask(scep.RenewalReq, renewal), scep.BadRequest)

	c.Signer = self
	fifth := twice(scep.PKCSReq, csr)
	r.revoke(fifth[0])
	refusedBy(t, c.Ask(scep.PKCSReq, csr), scep.BadRequest)
}

// TestValidatorIsAskedAnew: about what is enrolled anew a validator is asked again, and it is
// told what came of it; where it does not take the challenge any more, nothing comes of it.
func TestValidatorIsAskedAnew(t *testing.T) {
	cfg := newConfig(t)
	f := withFake(t, &cfg)
	r := newRepeater(t, cfg, weekOfSCEP(), pki.ProtocolSCEP)
	validates(t, r.s, r.st, "field")
	f.Take("good-challenge-of-intune", "Success")
	c := newSCEP(t, r.s, "acme.field")
	csr := scepclient.CSR(t, c.Key, "laptop-1", "good-challenge-of-intune")
	first := c.Ask(scep.PKCSReq, csr)
	toldOf(t, f, 1)
	noneLeft(t, r.s)
	r.tenDaysLater(pki.RSA2048)
	f.Take("good-challenge-of-intune", "ChallengeExpired")
	refusedBy(t, c.Ask(scep.PKCSReq, csr), scep.BadMessageCheck)
	f.Take("good-challenge-of-intune", "Success")
	second := c.Ask(scep.PKCSReq, csr)
	if first.PKIStatus != scep.SUCCESS || second.PKIStatus != scep.SUCCESS || second.Certificate.Equal(first.Certificate) || f.Asked() != 3 {
		t.Errorf("status %s and %s, failInfo %q, asked %d times", first.PKIStatus, second.PKIStatus, second.FailInfo, f.Asked())
	}
	toldOf(t, f, 2)
}
