package enroll_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// fieldDevice is a profile whose certificates are renewed for a while after their end.
const fieldDevice = `profile: field
keys: {allow: [p256], renew: {key: same-key, grace: 90d}}
validity: 30d
subject: [{type: CN, from: csr.subject.cn, check: name}]
san: {names: [{dns: {from: csr.san.dns}}]}
keyUsage: {use: [digitalSignature]}
extendedKeyUsage: {use: [clientAuth]}
keyIdentifiers: [subject, authority]
status: {crl: true}
`

// A renewing is acme with the endpoint field, whose devices it trusts, and a clock.
type renewing struct {
	*house
	clock *pandotest.Clock
}

func newRenewing(t *testing.T) *renewing {
	t.Helper()
	clock := pandotest.NewClock(pandotest.Now())
	r := &renewing{&house{stack.New(t, stack.Config{Now: clock.Now}), t}, clock}
	r.AddTenant(t, "acme", "device")
	if _, err := r.Hierarchy.PublishProfile(t.Context(), r.grant(access.ManageProfiles), []byte(fieldDevice)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Enroll.CreateEndpoint(t.Context(), r.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "field", Authority: "issuing", Profile: "field"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Trust.Add(t.Context(), r.Permit(t, "acme", access.ManageTrust), trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device,
		Scopes: at("field", "device")}); err != nil {
		t.Fatal(err)
	}
	return r
}

// renew returns the request that a device makes by a certificate, whose subject and
// names it asks for but for what change does; or why nobody is proved.
func (r *renewing) renew(endpoint string, old *x509.Certificate, key crypto.Signer, change func(*x509.CertificateRequest)) (enroll.Request, error) {
	r.t.Helper()
	who, err := r.Trust.AuthenticateRenewal(r.t.Context(), []*x509.Certificate{old}, "acme")
	if err != nil {
		return enroll.Request{}, err
	}
	g, err := who.Authorize(access.Enroll, "acme")
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.CertificateRequest{Subject: old.Subject, DNSNames: old.DNSNames}
	change(template)
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		r.t.Fatal(err)
	}
	return enroll.Request{Grant: g, Endpoint: endpoint, Protocol: pki.ProtocolREST, Renews: true, Subject: enroll.Subject{CSR: csr}}, nil
}

func same(*x509.CertificateRequest) {}

// TestRenewal: a renewal goes on from the certificate that was proved, and from none
// else; what it asks for beyond that is refused.
func TestRenewal(t *testing.T) {
	r := newRenewing(t)
	key := pandotest.Key(t, pki.P256)
	_, old := r.get(r.request("field", csrWith(t, key, "gw-1", names{dns: []string{"gw-1.example", "b.example"}})))
	for what, change := range map[string]func(*x509.CertificateRequest){
		"another subject": func(c *x509.CertificateRequest) { c.Subject.CommonName = "gw-2" },
		"more subject":    func(c *x509.CertificateRequest) { c.Subject.Organization = []string{"x"} },
		"no subject":      func(c *x509.CertificateRequest) { c.Subject = pkix.Name{} },
		"a name more":     func(c *x509.CertificateRequest) { c.DNSNames = append(c.DNSNames[:2:2], "c.example") },
		"a name less":     func(c *x509.CertificateRequest) { c.DNSNames = c.DNSNames[:1] },
		"no names":        func(c *x509.CertificateRequest) { c.DNSNames = nil },
	} {
		request, err := r.renew("field", old, pandotest.Key(t, pki.P256), change)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Enroll.Enroll(t.Context(), request); pki.KindOf(err) != pki.PolicyRefused && pki.KindOf(err) != pki.Forbidden {
			t.Errorf("%s: %v", what, err)
		}
	}
	request, err := r.renew("field", old, pandotest.Key(t, pki.P256), func(c *x509.CertificateRequest) { c.DNSNames = []string{"b.example", "gw-1.example"} })
	if err != nil {
		t.Fatal(err)
	}
	r.get(request)
	for _, tag := range []int{asn1.TagUTF8String, asn1.TagPrintableString} {
		name, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: tag, Bytes: []byte("gw-1")}}}})
		if err != nil {
			t.Fatal(err)
		}
		request, err := r.renew("field", old, pandotest.Key(t, pki.P256), func(c *x509.CertificateRequest) { c.RawSubject = name })
		if err != nil {
			t.Fatal(err)
		}
		if _, renewed := r.get(request); !bytes.Equal(renewed.RawSubject, old.RawSubject) {
			t.Errorf("a subject of type %d is renewed as %x", tag, renewed.RawSubject)
		}
	}
	request, err = r.renew("field", old, key, same) // its own key, which the profile lets it keep
	if err != nil {
		t.Fatal(err)
	}
	r.get(request)

	byToken := r.request("field", request.CSR)
	byToken.Renews = true
	_, err = r.Enroll.Enroll(t.Context(), byToken)
	refused(t, err, pki.PolicyRefused)
}

// TestLateRenewal: after its end a certificate is renewed in the profile's grace, with
// its own key, and proves nothing else; a revoked one is not.
func TestLateRenewal(t *testing.T) {
	r := newRenewing(t)
	key, lost, other := pandotest.Key(t, pki.P256), pandotest.Key(t, pki.P256), pandotest.Key(t, pki.P256)
	_, old := r.get(r.request("field", csrWith(t, key, "gw-1", names{})))
	stolen, revoked := r.get(r.request("field", csrWith(t, lost, "gw-2", names{})))
	_, elsewhere := r.get(r.request("device", csrWith(t, other, "gw-3", names{}))) // for two years
	if _, err := r.Revocation.Revoke(t.Context(), r.Permit(t, "acme", access.Revoke), stolen.Certificate.Issuer, stolen.Certificate.Serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(31 * 24 * time.Hour)

	if _, err := r.Trust.Authenticate(t.Context(), []*x509.Certificate{old}, "acme"); pki.KindOf(err) != pki.Unauthenticated {
		t.Errorf("an expired certificate proves somebody: %v", err)
	}
	if _, err := r.renew("field", revoked, lost, same); pki.KindOf(err) != pki.Unauthenticated {
		t.Errorf("a revoked certificate is renewed: %v", err)
	}
	late, err := r.renew("field", old, key, same)
	if err != nil {
		t.Fatal(err)
	}
	enrolls := late
	enrolls.Renews = false
	_, err = r.Enroll.Enroll(t.Context(), enrolls)
	refused(t, err, pki.PolicyRefused)
	if _, err := late.Grant.Principal().Authorize(access.ReadCertificates, "acme"); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("an expired certificate reads: %v", err)
	}
	rekeys, err := r.renew("field", old, pandotest.Key(t, pki.P256), same)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Enroll.Enroll(t.Context(), rekeys)
	refused(t, err, pki.PolicyRefused)
	ungraced, err := r.renew("device", old, key, same)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Enroll.Enroll(t.Context(), ungraced)
	refused(t, err, pki.PolicyRefused)

	_, renewed := r.get(late)
	if !renewed.NotBefore.After(old.NotAfter) {
		t.Errorf("renewed from %s, the old one ended %s", renewed.NotBefore, old.NotAfter)
	}
	if _, err := r.Trust.AuthenticateRenewal(t.Context(), []*x509.Certificate{elsewhere}, "acme"); err != nil {
		t.Errorf("one that is valid: %v", err)
	}

	r.clock.Advance(90 * 24 * time.Hour)
	tooLate, err := r.renew("field", old, key, same)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Enroll.Enroll(t.Context(), tooLate)
	refused(t, err, pki.PolicyRefused)
}
