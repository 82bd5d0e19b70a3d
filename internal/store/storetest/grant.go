package storetest

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

func testRoles(f *fixture) {
	lead := &access.OwnRole{Tenant: acme, Name: "lead", Description: "of a shift", Permissions: []access.Permission{access.Enroll, access.ReadBatches}, Created: f.now}
	f.ok(f.PutRole(f.ctx, lead, f.event(acme, "role.create")))
	f.is(pki.Conflict, f.PutRole(f.ctx, lead, f.event(acme, "role.create")))
	theirs := *lead
	theirs.Tenant = partner
	f.ok(f.PutRole(f.ctx, &theirs, f.event(partner, "role.create")))
	all, err := f.Roles(f.ctx, acme)
	f.ok(err)
	f.same(all, []*access.OwnRole{lead})
	all, err = f.Roles(f.ctx, stranger)
	f.ok(err)
	f.same(len(all), 0)

	token := &access.Token{ID: "0a", Tenant: acme, Name: "x", Hash: sha256.Sum256([]byte("x")), Created: f.now, Expires: f.now.AddDate(0, 3, 0)}
	f.ok(f.PutToken(f.ctx, token, f.event(acme, "token.create")))
	g := &access.Grant{ID: "g1", Tenant: acme, Principal: token.Principal(), Role: "lead", Scope: access.Scope{Site: "s"}, Actor: "a", Created: f.now, Own: lead.Permissions}
	f.ok(f.PutGrant(f.ctx, g, f.event(acme, "grant.add")))
	again := *g
	again.ID = "g2"
	f.is(pki.Conflict, f.PutGrant(f.ctx, &again, f.event(acme, "grant.add")))
	for what, change := range map[string]func(*access.Grant){
		"no such token":     func(g *access.Grant) { g.Principal = "token:0b" },
		"no such authority": func(g *access.Grant) { g.Principal = "trust:0a" },
		"a stranger":        func(g *access.Grant) { g.Tenant = stranger },
	} {
		wrong := again
		change(&wrong)
		if err := f.PutGrant(f.ctx, &wrong, f.event(acme, "grant.add")); pki.KindOf(err) != pki.NotFound {
			f.Errorf("%s: %v", what, err)
		}
	}
	plant := &trust.Anchor{ID: "of-plant", Tenant: acme, Name: "plant", Certificate: []byte("plant"), Created: f.now}
	f.ok(f.PutAnchor(f.ctx, plant, f.event(acme, "trust.add")))
	holder := func(tenant pki.TenantID, principal string, at time.Time, want string) {
		got, err := f.Holder(f.ctx, tenant, principal, at)
		f.ok(err)
		f.same(got, want)
	}
	for _, principal := range []string{token.Principal(), plant.Principal()} {
		holder(stranger, principal, f.now, "")
	}
	holder(acme, token.Principal(), f.now, string(token.ID))
	holder(acme, token.Principal(), token.Expires, "")
	holder(acme, plant.Principal(), f.now, plant.ID)
	holder(acme, "lead:plant", f.now, "")

	// What an own role includes comes with its grants, as it is now.
	f.is(pki.Conflict, f.DeleteRole(f.ctx, acme, "lead", f.event(acme, "role.delete")))
	was := lead.Permissions
	lead.Permissions = []access.Permission{access.Revoke}
	f.ok(f.ChangeRole(f.ctx, lead, was, nil, f.event(acme, "role.change")))
	f.is(pki.Conflict, f.ChangeRole(f.ctx, lead, was, nil, f.event(acme, "role.change"))) // somebody was faster
	f.is(pki.Conflict, f.ChangeRole(f.ctx, &access.OwnRole{Tenant: stranger, Name: "lead", Permissions: lead.Permissions}, lead.Permissions, nil, f.event(stranger, "role.change")))
	g.Own = lead.Permissions
	got, err := f.TokenByHash(f.ctx, token.Hash)
	f.ok(err)
	f.same(got.Grants, []access.Grant{*g})
	for i, query := range [][2]string{{"", ""}, {token.Principal(), ""}, {"", "lead"}, {token.Principal(), "lead"}, {"token:0b", ""}, {"", "auditor"}} {
		some, err := f.Grants(f.ctx, acme, query[0], access.Role(query[1]))
		f.ok(err)
		f.same(len(some), map[bool]int{true: 1, false: 0}[i < 4])
	}
	none, err := f.Grants(f.ctx, stranger, "", "")
	f.ok(err)
	f.same(len(none), 0)

	f.is(pki.NotFound, f.DeleteGrant(f.ctx, stranger, "g1", f.event(stranger, "grant.remove")))
	f.ok(f.DeleteGrant(f.ctx, acme, "g1", f.event(acme, "grant.remove")))
	f.is(pki.NotFound, f.DeleteGrant(f.ctx, acme, "g1", f.event(acme, "grant.remove")))

	// Nor does it go while the approvals of an endpoint of the tenant name it.
	guarded := func(tenant pki.TenantID, name string, roles ...string) (*pki.Endpoint, *pki.Endpoint) {
		open := &pki.Endpoint{Tenant: tenant, Name: name, Authority: f.authority.ID, Profile: f.profile, Created: f.now}
		wants := *open
		wants.Approvals = &pki.Approvals{Life: time.Hour}
		for _, r := range roles {
			wants.Approvals.Steps = append(wants.Approvals.Steps, pki.ApprovalStep{Role: r, N: 1})
		}
		f.ok(f.PutEndpoint(f.ctx, &wants, nil, f.event(tenant, "endpoint.create")))
		return open, &wants
	}
	guarded(acme, "others", "lead-of-others", "ra-operator")
	guarded(partner, "theirs", "lead")
	for _, name := range []string{"line-1", "line-2"} {
		open, wants := guarded(acme, name, "ra-operator", "lead")
		f.is(pki.Conflict, f.DeleteRole(f.ctx, acme, "lead", f.event(acme, "role.delete")))
		f.ok(f.UpdateEndpoint(f.ctx, wants, open, nil, f.event(acme, "endpoint.update")))
	}
	f.is(pki.NotFound, f.DeleteRole(f.ctx, stranger, "lead", f.event(stranger, "role.delete")))
	f.ok(f.DeleteRole(f.ctx, acme, "lead", f.event(acme, "role.delete")))

	for i := range access.MaxGrants {
		f.ok(f.PutGrant(f.ctx, &access.Grant{ID: fmt.Sprint("m", i), Tenant: acme, Principal: token.Principal(), Role: access.Auditor, Scope: access.Scope{Site: fmt.Sprint(i)}, Created: f.now}, f.event(acme, "grant.add")))
	}
	f.is(pki.Conflict, f.PutGrant(f.ctx, &access.Grant{ID: "more", Tenant: acme, Principal: token.Principal(), Role: access.Auditor, Created: f.now}, f.event(acme, "grant.add")))
	f.ok(f.RevokeToken(f.ctx, acme, token.ID, f.now, f.event(acme, "token.revoke")))
	holder(acme, token.Principal(), f.now, "")
}

// testRolesRaced: what was decided on what somebody had read is not stored where that is
// otherwise by then.
func testRolesRaced(f *fixture) {
	few, many := []access.Permission{access.ReadBatches}, []access.Permission{access.Enroll, access.ReadBatches}
	shift := &access.OwnRole{Tenant: acme, Name: "shift", Permissions: many, Created: f.now}
	f.ok(f.PutRole(f.ctx, shift, f.event(acme, "role.create")))
	theirs := *shift
	theirs.Tenant = partner
	f.ok(f.PutRole(f.ctx, &theirs, f.event(partner, "role.create")))
	given := func(principal, role string, own []access.Permission) []access.Grant {
		return []access.Grant{{ID: pki.NewID(f.now), Tenant: acme, Principal: principal, Role: access.Role(role), Actor: "a", Created: f.now, Own: own}}
	}
	anchor := func(name string, all []access.Grant) *trust.Anchor {
		return &trust.Anchor{ID: pki.NewID(f.now), Tenant: acme, Name: name, Certificate: []byte(name), Grants: all, Created: f.now}
	}
	plant := anchor("plant", given("trust:plant", "auditor", nil))
	f.ok(f.PutAnchor(f.ctx, plant, f.event(acme, "trust.add")))
	put := func(g access.Grant) error {
		g.Holder = plant.ID
		return f.PutGrant(f.ctx, &g, f.event(acme, "grant.add"))
	}
	before, has := f.actions(acme), func() int {
		all, err := f.Grants(f.ctx, acme, "", "")
		f.ok(err)
		return len(all)
	}

	// A role as it was, or one that is gone, is given in none of the ways.
	for _, stale := range []struct {
		role string
		own  []access.Permission
	}{{"shift", few}, {"shift", nil}, {"gone", many}} {
		token := &access.Token{ID: "0c", Tenant: acme, Name: "x", Hash: sha256.Sum256([]byte("x")), Created: f.now, Expires: f.now.AddDate(0, 3, 0), Grants: given("token:0c", stale.role, stale.own)}
		f.is(pki.Conflict, f.PutToken(f.ctx, token, f.event(acme, "token.create")))
		f.is(pki.Conflict, put(given("trust:plant", stale.role, stale.own)[0]))
		f.is(pki.Conflict, f.PutAnchor(f.ctx, anchor("other", given("trust:other", stale.role, stale.own)), f.event(acme, "trust.add")))
		more := *plant
		more.Grants = append(given("trust:plant", stale.role, stale.own), plant.Grants...)
		f.is(pki.Conflict, f.ChangeAnchor(f.ctx, &more, plant.Grants, f.event(acme, "trust.update")))
	}
	anchors, err := f.Anchors(f.ctx, acme)
	f.ok(err)
	f.same(anchors, []*trust.Anchor{plant})
	f.same(has(), 1)
	f.same(f.actions(acme), before)

	// What it includes is not changed but for those who had it by certificates.
	g := given("trust:plant", "shift", many)[0]
	f.ok(put(g))
	g.ID, g.Scope = "second", access.Scope{Site: "s"}
	f.ok(put(g))
	wider := *shift
	wider.Permissions = append([]access.Permission{access.ReadAlarms}, many...)
	for _, trusted := range [][]string{nil, {"trust:other"}, {"trust:other", "trust:plant"}} {
		f.is(pki.Conflict, f.ChangeRole(f.ctx, &wider, many, trusted, f.event(acme, "role.change")))
	}
	theirs.Permissions = few
	f.ok(f.ChangeRole(f.ctx, &theirs, many, nil, f.event(partner, "role.change"))) // of another tenant's
	f.ok(f.ChangeRole(f.ctx, &wider, many, []string{"trust:plant"}, f.event(acme, "role.change")))

	// Nor do those of another authority of the name get what the one had or was to have, or
	// lose it.
	f.ok(f.RemoveAnchor(f.ctx, plant, f.event(acme, "trust.remove")))
	other := anchor("plant", given("trust:plant", "ra-operator", nil))
	f.ok(f.PutAnchor(f.ctx, other, f.event(acme, "trust.add")))
	f.is(pki.NotFound, f.RemoveAnchor(f.ctx, plant, f.event(acme, "trust.remove")))
	f.is(pki.Conflict, put(given("trust:plant", "auditor", nil)[0]))
	f.same(has(), 1)
}
