package server

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// TestESTRollover: a client learns of the next issuer before anything is signed by it, and
// a device follows from one issuer to the next with the certificate that it has, and on
// with the one that it gets.
func TestESTRollover(t *testing.T) {
	s, st, meter, _ := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	ctx, g := t.Context(), st.Permit(t, "acme", access.ManageAuthorities)

	published := func() []*x509.Certificate {
		nobody := meter
		nobody.chain = nil
		return certificates(t, nobody.est("GET", estPath("acme.meter", "cacerts"), nil))
	}
	verify := func(c *x509.Certificate, authorities []*x509.Certificate) []*x509.Certificate {
		t.Helper()
		opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		for _, a := range authorities {
			if bytes.Equal(a.RawSubject, a.RawIssuer) {
				opts.Roots.AddCert(a)
			} else {
				opts.Intermediates.AddCert(a)
			}
		}
		chains, err := c.Verify(opts)
		if err != nil {
			t.Fatal(err)
		}
		return chains[0]
	}

	if n := len(published()); n != 2 {
		t.Fatalf("%d certificates before", n)
	}
	if _, err := s.hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); err != nil {
		t.Fatal(err)
	}
	if n := len(published()); n != 2 {
		t.Errorf("%d certificates while the next issuer is pending", n)
	}
	request, err := s.hierarchy.Request(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.hierarchy.Install(ctx, g, st.Answer(t, "acme", request)); err != nil {
		t.Fatal(err)
	}
	learned := published() // once, before the switch
	if len(learned) != 3 {
		t.Fatalf("%d certificates with a next issuer", len(learned))
	}

	key := pandotest.Key(t, pki.P256)
	old := certificates(t, meter.est("POST", estPath("acme.meter", "simplereenroll"), goesOn(t, pandotest.Parse(t, meter.chain[0]), key)))[0]
	if by := verify(old, learned)[1]; !bytes.Equal(by.Raw, meter.chain[1]) {
		t.Errorf("before the switch %s signs", by.Subject)
	}
	if _, err := s.hierarchy.Switch(ctx, g, "issuing"); err != nil {
		t.Fatal(err)
	}
	device := meter
	device.key, device.chain = key, [][]byte{old.Raw, meter.chain[1]}
	key = pandotest.Key(t, pki.P256)
	renewed := certificates(t, device.est("POST", estPath("acme.meter", "simplereenroll"), goesOn(t, old, key)))[0]
	next := verify(renewed, learned)[1]
	if next.Subject.CommonName != "Test issuing G2" {
		t.Errorf("after the switch %s signs", next.Subject)
	}
	device.key, device.chain = key, [][]byte{renewed.Raw, next.Raw}
	again := certificates(t, device.est("POST", estPath("acme.meter", "simplereenroll"), goesOn(t, renewed, pandotest.Key(t, pki.P256))))[0]
	verify(again, learned)
	if n := len(published()); n != 3 {
		t.Errorf("%d certificates after the switch", n)
	}
}
