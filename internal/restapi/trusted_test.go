package restapi

import (
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pandotest"
)

// TestTrustedWait asks each route that changes what the certificates of a trusted authority
// are good for, where the tenant has rules about trust: it waits, and the like that is about
// a token alone does not. Nobody gives what they do not have.
func TestTrustedWait(t *testing.T) {
	f := newFamily(t, nil)
	ctx, c := t.Context(), f.parent
	for _, name := range []string{"shift", "desk"} {
		must(c.CreateRole(ctx, client.NewRole{Name: name, RoleChange: client.RoleChange{Permissions: []string{"batches.read"}}}))(t)
	}
	must(c.AddTrust(ctx, client.NewTrust{Name: "plant", Authority: "issuing", Role: "shift"}))(t)
	token, _, err := f.stack.Tokens.Create(ctx, f.stack.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: "desk", Role: "desk"})
	if err != nil {
		t.Fatal(err)
	}
	grant := func(principal, role string) string {
		t.Helper()
		return must(c.Grants(ctx, principal, role))(t)[0].ID
	}
	for _, kind := range []approval.Kind{approval.AddTrust, approval.UpdateTrust, approval.RemoveTrust} {
		r := approval.Rule{Kind: kind, Life: time.Hour, Steps: []approval.Step{{Role: access.SecurityOfficer, N: 1}}}
		f.stack.SetRule(t, "acme", r)
	}
	change := func(by *client.Client, role string, permissions ...string) error {
		_, err := by.ChangeRole(ctx, role, client.RoleChange{Permissions: permissions})
		return err
	}
	give := func(principal string) error {
		_, err := c.AddGrant(ctx, client.NewGrant{Principal: principal, Role: "auditor", Scope: "endpoint:meter"})
		return err
	}
	other := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pandotest.NewRoot(t, "other", time.Now().Add(-time.Hour)).Certificate.Raw}))
	add := func() error {
		_, err := c.AddTrust(ctx, client.NewTrust{Name: "other", Certificate: other, Role: "shift"})
		return err
	}
	update := func() error {
		_, err := c.ChangeTrust(ctx, "plant", client.TrustChange{Scopes: []string{"endpoint:meter"}})
		return err
	}
	who := token.Principal()
	for _, test := range []struct {
		what  string
		act   func() error
		waits bool
	}{
		{"trust in another", add, true},
		{"other scopes", update, true},
		{"trust that ends", func() error { return c.RemoveTrust(ctx, "plant") }, true},
		{"one role more", func() error { return give("trust:plant") }, true},
		{"one role fewer", func() error { return c.RemoveGrant(ctx, grant("trust:plant", "shift")) }, true},
		{"a role with more", func() error { return change(c, "shift", "batches.read", "enroll") }, true},
		{"a role with less", func() error { return change(c, "shift", "enroll") }, true},
		{"a role as it was", func() error { return change(c, "shift", "batches.read") }, false},
		{"a token's role with more", func() error { return change(c, "desk", "batches.read", "enroll") }, false},
		{"a token's one role more", func() error { return give(who) }, false},
		{"a token's one role fewer", func() error { return c.RemoveGrant(ctx, grant(who, "auditor")) }, false},
	} {
		err := test.act()
		if _, waits := errors.AsType[*client.Waiting](err); waits != test.waits || !waits && err != nil {
			t.Errorf("%s: %v; it waits %t, want %t", test.what, err, waits, test.waits)
		}
	}
	must(c.CreateRole(ctx, client.NewRole{Name: "doorkeeper", RoleChange: client.RoleChange{Permissions: []string{"access.manage", "batches.read"}}}))(t)
	keeper := must(client.New(client.Config{Server: f.m.url, Token: f.m.token(t, "acme", "doorkeeper"), HTTPClient: f.m.http}))(t)
	refused(t, "forbidden", change(keeper, "shift", "batches.read", "enroll"))
}
