package storetest

import (
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trust"
)

// grants returns those of a role at some endpoints, as they are kept.
func grants(tenant pki.TenantID, principal string, role access.Role, endpoints ...string) []access.Grant {
	var all []access.Grant
	for _, e := range endpoints {
		all = append(all, access.Grant{ID: string(tenant) + principal + e, Tenant: tenant, Principal: principal, Role: role, Scope: access.Scope{Endpoint: e}, Created: time.Unix(1, 0).UTC()})
	}
	return all
}

func testTrust(f *fixture) {
	own := &trust.Anchor{ID: "1", Tenant: acme, Name: "devices", Issuer: f.issuer.ID, Certificate: []byte("der"), Grants: grants(acme, "trust:devices", access.Device, "meter", "other"), Created: f.now}
	imported := &trust.Anchor{ID: "2", Tenant: acme, Name: "plant", Certificate: []byte("other"), Grants: grants(acme, "trust:plant", access.FactoryOperator, "meter"), Created: f.now}
	theirs := &trust.Anchor{ID: "3", Tenant: partner, Name: "devices", Certificate: []byte("der"), Grants: grants(partner, "trust:devices", access.Auditor, ""), Created: f.now}
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

	// Some grants go and others come, or none does.
	more := grants(acme, "trust:devices", access.Device, "third", "fourth")
	change := f.event(acme, "trust.update")
	changed := *own
	changed.Grants = slices.Concat(own.Grants[1:], more[:1])
	f.ok(f.ChangeAnchor(f.ctx, &changed, own.Grants, change))
	wider := *own // of whoever read it before that, and takes nothing that is gone
	wider.Grants = slices.Concat(own.Grants, more[1:])
	f.is(pki.Conflict, f.ChangeAnchor(f.ctx, &wider, own.Grants, change))
	f.is(pki.Conflict, f.ChangeAnchor(f.ctx, &wider, own.Grants[1:], change))                                 // one came
	f.is(pki.Conflict, f.ChangeAnchor(f.ctx, &wider, slices.Concat(changed.Grants, more[1:]), change))        // one is gone
	f.is(pki.Conflict, f.ChangeAnchor(f.ctx, &wider, slices.Concat(changed.Grants, imported.Grants), change)) // one is of another
	for _, gone := range []trust.Anchor{{Tenant: acme, Name: own.Name, ID: "another"}, {Tenant: stranger, Name: own.Name, ID: own.ID}} {
		f.is(pki.NotFound, f.ChangeAnchor(f.ctx, &gone, nil, change))
	}
	got, err = f.Anchors(f.ctx, acme)
	f.ok(err)
	f.same(got, []*trust.Anchor{&changed, imported})
	f.same(f.actions(acme)[0], "trust.update")

	f.is(pki.NotFound, f.RemoveAnchor(f.ctx, &trust.Anchor{Tenant: stranger, Name: own.Name, ID: own.ID}, f.event(stranger, "trust.remove")))
	f.ok(f.RemoveAnchor(f.ctx, own, f.event(acme, "trust.remove")))
	again := *own // has nothing of the one before it
	again.Grants = nil
	f.ok(f.PutAnchor(f.ctx, &again, f.event(acme, "trust.add")))
	got, err = f.Anchors(f.ctx, acme)
	f.ok(err)
	f.same(got, []*trust.Anchor{&again, imported})
	f.ok(f.RemoveAnchor(f.ctx, own, f.event(acme, "trust.remove")))
	f.is(pki.NotFound, f.RemoveAnchor(f.ctx, own, f.event(acme, "trust.remove")))
	got, err = f.AllAnchors(f.ctx)
	f.ok(err)
	f.same(got, []*trust.Anchor{imported, theirs})
	f.same(f.actions(acme)[0], "trust.remove")
	f.same(f.actions(stranger), []string{"tenant.create"})
}

// testScopes asks for what scopes name.
func testScopes(f *fixture) {
	f.ok(f.PutPlace(f.ctx, &registry.Place{Kind: registry.ProductLine, Tenant: acme, Name: "pro", Created: f.now}, f.event(acme, "place.create")))
	f.ok(f.PutPlace(f.ctx, &registry.Place{Kind: registry.Site, Tenant: acme, Name: "berlin", Created: f.now}, f.event(acme, "place.create")))
	authority := f.authority
	for missing, scope := range map[string]access.Scope{
		"":                 {Authority: authority.Name, ProductLine: "pro", Site: "berlin"},
		"authority:other":  {Authority: "other", ProductLine: "pro"},
		"product-line:eco": {ProductLine: "eco"},
		"site:pro":         {ProductLine: "pro", Site: "pro"},
		"endpoint:none":    {Endpoint: "none"},
	} {
		got, err := f.Missing(f.ctx, acme, scope)
		f.ok(err)
		f.same(got, missing)
	}
	got, err := f.Missing(f.ctx, stranger, access.Scope{ProductLine: "pro"})
	f.ok(err)
	f.same(got, "product-line:pro")

	for tenant, want := range map[pki.TenantID]string{acme: authority.Name, stranger: ""} {
		name, err := f.AuthorityName(f.ctx, tenant, authority.ID)
		f.ok(err)
		f.same(name, want)
		name, err = f.IssuerAuthorityName(f.ctx, tenant, f.issuer.ID)
		f.ok(err)
		f.same(name, want)
	}
	name, err := f.IssuerAuthorityName(f.ctx, acme, "none")
	f.ok(err)
	f.same(name, "")
}
