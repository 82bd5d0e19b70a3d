package storetest

import (
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

func testTrust(f *fixture) {
	own := &trust.Anchor{ID: "1", Tenant: acme, Name: "devices", Issuer: f.issuer.ID, Certificate: []byte("der"), Role: access.Device,
		Endpoints: []string{"meter", "other"}, Created: f.now}
	imported := &trust.Anchor{ID: "2", Tenant: acme, Name: "plant", Certificate: []byte("other"), Role: access.FactoryOperator, Created: f.now}
	theirs := &trust.Anchor{ID: "3", Tenant: partner, Name: "devices", Certificate: []byte("der"), Role: access.Auditor, Created: f.now}
	for _, a := range []*trust.Anchor{imported, own, theirs} {
		f.ok(f.PutAnchor(f.ctx, a, f.event(a.Tenant, "trust.add")))
	}
	f.is(pki.Conflict, f.PutAnchor(f.ctx, own, f.event(acme, "trust.add")))
	got, err := f.Anchors(f.ctx, acme)
	f.ok(err)
	f.same(got, []*trust.Anchor{own, imported})
	got, err = f.Anchors(f.ctx, stranger)
	f.ok(err)
	f.same(len(got), 0)
	got, err = f.AllAnchors(f.ctx)
	f.ok(err)
	f.same(got, []*trust.Anchor{own, imported, theirs})

	f.is(pki.NotFound, f.RemoveAnchor(f.ctx, stranger, "devices", f.event(stranger, "trust.remove")))
	f.ok(f.RemoveAnchor(f.ctx, acme, "devices", f.event(acme, "trust.remove")))
	f.is(pki.NotFound, f.RemoveAnchor(f.ctx, acme, "devices", f.event(acme, "trust.remove")))
	got, err = f.AllAnchors(f.ctx)
	f.ok(err)
	f.same(got, []*trust.Anchor{imported, theirs})
	f.same(f.actions(acme)[0], "trust.remove")
	f.same(f.actions(stranger), []string{"tenant.create"})
}
