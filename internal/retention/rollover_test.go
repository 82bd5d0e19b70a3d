package retention_test

import (
	"crypto/x509/pkix"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestCheckAcrossRollovers: a store with certificates and pairs by an earlier and by the
// active issuer, with an issuer that was dropped, a root that follows another, and pairs
// and certificates in archives is sound, and each certificate, in the archives too, is as
// its profile has it.
func TestCheckAcrossRollovers(t *testing.T) {
	p := newPlant(t, 2)
	ctx, g := t.Context(), p.Permit(t, "acme", access.ManageAuthorities)
	p.AddPair(t, "acme")
	pair := func(device string) (issuer pki.IssuerID) {
		t.Helper()
		csr := func() []byte { return pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device}) }
		got, err := p.Enroll.Enroll(ctx, enroll.Request{
			Grant: p.Permit(t, "acme", access.Enroll), Endpoint: "acme.sign", Protocol: pki.ProtocolREST,
			Subject: enroll.Subject{CSR: csr()}, Pair: &enroll.Pair{Endpoint: "acme.agree", CSR: csr()},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*pki.Certificate{got.Certificate, got.Pair} {
			if c.Issuer != got.Certificate.Issuer {
				t.Errorf("the pair of %s is by %s and %s", device, got.Certificate.Issuer, c.Issuer)
			}
			p.certs = append(p.certs, c)
		}
		return got.Certificate.Issuer
	}
	rollover := func() {
		t.Helper()
		if _, err := p.Hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); err != nil {
			t.Fatal(err)
		}
		request, err := p.Hierarchy.Request(ctx, g, "issuing")
		if err != nil {
			t.Fatal(err)
		}
		p.Sign(t, "acme", request)
	}
	if _, err := p.Hierarchy.Install(ctx, g, p.Follow(t, "acme", "")); err != nil {
		t.Fatal(err)
	}
	first := pair("M-1")
	rollover()
	if _, err := p.Hierarchy.DropNext(ctx, g, "issuing"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Hierarchy.Switch(ctx, g, "root"); err != nil {
		t.Fatal(err)
	}
	rollover() // under the new root
	if _, err := p.Hierarchy.Switch(ctx, g, "issuing"); err != nil {
		t.Fatal(err)
	}
	second := pair("M-2")
	if first == second {
		t.Error("both pairs are by one issuer")
	}
	p.anchor()
	p.clock.Advance(p.certs[len(p.certs)-1].NotAfter.Sub(p.clock.Now()) + 40*day)
	kept := pair("M-3") // they have not expired
	p.certs = p.certs[:len(p.certs)-2]
	p.set(30 * day)
	if err := p.Retention.Round(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if n := p.inStore(); n != 0 || kept != second {
		t.Errorf("%d certificates that expired are in the store; %s issues, not %s", n, kept, second)
	}
	p.anchor()
	p.sound(int64(len(p.certs)))
	r, err := check.Run(ctx, check.Config{Store: p.Store, Archives: p.Archives, Now: p.clock.Now, Relint: new(check.Relint)})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Relinted != r.Certificates+r.Archived || r.Issuers != 7 {
		t.Errorf("check: %d issuers, %d of %d and %d certificates linted again, %v", r.Issuers, r.Relinted, r.Certificates, r.Archived, r.Findings)
	}
}
