package access_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A drawer is a GrantStore in memory.
type drawer struct {
	access.GrantStore
	roles  []*access.OwnRole
	grants []access.Grant
}

func (d *drawer) Roles(context.Context, pki.TenantID) ([]*access.OwnRole, error) { return d.roles, nil }

func (d *drawer) Missing(context.Context, pki.TenantID, access.Scope) (string, error) { return "", nil }

func (d *drawer) PutRole(_ context.Context, r *access.OwnRole, _ pki.Event) error {
	d.roles = append(d.roles, r)
	return nil
}

func (d *drawer) ChangeRole(_ context.Context, r *access.OwnRole, _ []access.Permission, _ []string, _ pki.Event) error {
	i := slices.IndexFunc(d.roles, func(x *access.OwnRole) bool { return x.Name == r.Name })
	d.roles[i] = r
	return nil
}

func (d *drawer) PutGrant(_ context.Context, g *access.Grant, _ pki.Event) error {
	d.grants = append(d.grants, *g)
	return nil
}

func (d *drawer) DeleteGrant(_ context.Context, _ pki.TenantID, id string, _ pki.Event) error {
	d.grants = slices.DeleteFunc(d.grants, func(g access.Grant) bool { return g.ID == id })
	return nil
}

func (d *drawer) Grants(_ context.Context, _ pki.TenantID, principal string, role access.Role) ([]access.Grant, error) {
	var all []access.Grant
	for _, g := range d.grants {
		if (principal == "" || g.Principal == principal) && (role == "" || g.Role == role) {
			all = append(all, g)
		}
	}
	return all, nil
}

// TestNobodyGivesMore: neither to others nor to oneself, nor by a role that is made or
// changed later.
func TestNobodyGivesMore(t *testing.T) {
	ctx, changed := t.Context(), 0
	store := &drawer{}
	office := access.NewOffice(access.OfficeConfig{Store: store, Gate: alone{}, Now: time.Now, Changed: func() { changed++ }})
	permit := func(grants ...access.Grant) access.Permit {
		who := principal(access.Auditor)
		who.Grants = grants
		p, err := who.Authorize(access.ManageAccess, "acme")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	giver := access.Given("giver")
	giver[0].Own = []access.Permission{access.ManageAccess}
	reader := permit(append(giver, access.Given(access.Auditor)...)...) // manages access, and reads
	admin := permit(access.Given(access.TenantAdministrator)...)
	berlin := permit(access.Given(access.TenantAdministrator, access.Scope{Site: "berlin"})...)
	give := func(p access.Permit, principal string, role access.Role, scope access.Scope) error {
		_, err := office.Give(ctx, p, principal, role, scope)
		return err
	}
	create := func(p access.Permit, name access.Role, permissions ...access.Permission) error {
		_, err := office.CreateRole(ctx, p, access.OwnRole{Name: name, Permissions: permissions})
		return err
	}
	change := func(p access.Permit, name access.Role, permissions ...access.Permission) error {
		_, err := office.ChangeRole(ctx, p, access.OwnRole{Name: name, Permissions: permissions})
		return err
	}
	const ok, forbidden, malformed = pki.Internal, pki.Forbidden, pki.Malformed
	for _, test := range []struct {
		what string
		err  error
		want pki.Kind
	}{
		{"what one has", give(reader, "token:1", access.Auditor, access.Scope{}), ok},
		{"what one has, on a part", give(reader, "token:1", access.Auditor, access.Scope{Site: "s"}), ok},
		{"more than one has", give(reader, "token:1", access.RAOperator, access.Scope{}), forbidden},
		{"to oneself", give(reader, "token:0abc", access.TenantAdministrator, access.Scope{}), forbidden},
		{"within one's part", give(berlin, "token:1", access.RAOperator, access.Scope{Site: "berlin", Endpoint: "e"}), ok},
		{"beyond one's part", give(berlin, "token:1", access.RAOperator, access.Scope{Site: "brno"}), forbidden},
		{"all, from a part", give(berlin, "token:0abc", access.TenantAdministrator, access.Scope{}), forbidden},
		{"a role of what one has", create(reader, "look", access.ReadEvents, access.ReadBatches), ok},
		{"a role of more", create(reader, "more", access.ReadEvents, access.Revoke), forbidden},
		{"a role, from a part", create(berlin, "part", access.ReadEvents), forbidden},
		{"a role that is there", create(reader, access.Auditor, access.ReadEvents), malformed},
		{"a role of the platform's", create(admin, "platform", access.ManageTenants), malformed},
		{"a role of nothing", create(admin, "nothing"), malformed},
		{"to oneself by a change", change(reader, "look", access.ReadEvents, access.Revoke), forbidden},
		{"less by a change", change(reader, "look", access.ReadEvents), ok},
		{"by somebody who has it", change(admin, "look", access.ReadEvents, access.Revoke), ok},
		{"what is there already stays", change(reader, "look", access.Revoke), ok},
		{"a role that includes more", give(reader, "token:1", "look", access.Scope{}), forbidden},
		{"the same by somebody who has it", give(admin, "trust:plant", "look", access.Scope{}), ok},
		{"administering by a certificate", give(admin, "trust:plant", access.TenantAdministrator, access.Scope{}), malformed},
		{"administering by a certificate, later", change(admin, "look", access.ManageTokens), malformed},
		{"devices by a token", give(admin, "token:1", access.Device, access.Scope{Endpoint: "e"}), malformed},
		{"an unknown role", give(admin, "token:1", "nobody", access.Scope{}), malformed},
		{"to nobody", give(admin, "person", access.Auditor, access.Scope{}), malformed},
		{"without a permit", give(access.Permit{}, "token:1", access.Auditor, access.Scope{}), forbidden},
	} {
		if (test.err == nil) != (test.want == ok) || pki.KindOf(test.err) != test.want {
			t.Errorf("%s: %v, want %s", test.what, test.err, test.want)
		}
	}
	for _, g := range store.grants {
		if g.Scope == (access.Scope{}) {
			if err := office.Take(ctx, berlin, g.ID); pki.KindOf(err) != pki.Forbidden || err == nil {
				t.Errorf("taken from a part: %v", err)
			}
		}
	}
	before := changed
	if err := office.Take(ctx, admin, store.grants[0].ID); err != nil || changed != before+1 {
		t.Errorf("%v, told %d times", err, changed-before)
	}
}

func (d *drawer) Holder(context.Context, pki.TenantID, string, time.Time) (string, error) {
	return "1", nil
}

// alone is a gate that nothing waits at.
type alone struct{}

func (alone) GivesAlone(context.Context, access.Permit, access.Scope) (bool, error) { return true, nil }

func (alone) PassGrant(context.Context, access.Permit, string, access.Role, access.Scope) error {
	return nil
}

func (alone) PassRole(context.Context, access.Permit, *access.OwnRole, []access.Permission) error {
	return nil
}

func (alone) PassTrusted(context.Context, access.Permit, access.Grant) error { return nil }

func (alone) PassTrustedRole(context.Context, access.Permit, *access.OwnRole, []access.Permission, []string) error {
	return nil
}

func (alone) PassTaking(context.Context, access.Permit, access.Grant) error { return nil }
