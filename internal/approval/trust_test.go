package approval_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// officers has the acts of a kind wait for so many security officers, or for nobody.
func (h *house) officers(kind approval.Kind, n int) {
	h.Helper()
	r := approval.Rule{Kind: kind, Life: approval.DefaultLife}
	if n > 0 {
		r.Steps = []approval.Step{{Role: access.SecurityOfficer, N: n}}
	}
	h.SetRule(h, acme, r)
}

// TestTrustRules: what takes from those whom a trusted authority certifies needs what the
// end of the trust needs, and what gives them more needs what an update of it needs, by
// whichever act it is done.
func TestTrustRules(t *testing.T) {
	h := newPKI(t)
	h.appoint("desk", access.RAOperator)
	for _, kind := range []approval.Kind{approval.AddTrust, approval.UpdateTrust, approval.RemoveTrust} {
		h.officers(kind, 0)
	}
	meter, whole := access.Scope{Endpoint: "meter"}, access.Scope{}
	_, err := h.Trust.Add(h.ctx, h.permit("admin", access.ManageTrust), trust.NewAnchor{Name: "plant", Authority: "issuing", Role: access.FactoryOperator, Scopes: []access.Scope{meter}})
	h.ok(err)
	update := func(scopes ...access.Scope) error {
		_, err := h.Trust.Update(h.ctx, h.permit("admin", access.ManageTrust), "plant", scopes)
		return err
	}
	give := func(principal string) error {
		_, err := h.Office.Give(h.ctx, h.permit("admin", access.ManageAccess), principal, access.Auditor, meter)
		return err
	}
	grants := func(principal string, role access.Role) []access.Grant {
		t.Helper()
		all, err := h.Store.Grants(h.ctx, acme, principal, role)
		h.ok(err)
		return all
	}
	take := func(principal string, role access.Role) error {
		t.Helper()
		return h.Office.Take(h.ctx, h.permit("admin", access.ManageAccess), grants(principal, role)[0].ID)
	}
	// waits holds that an act waits for so many officers under a kind.
	waits := func(err error, kind approval.Kind, n int) *approval.Change {
		t.Helper()
		w, ok := errors.AsType[*approval.Waiting](err)
		if !ok || w.Change.Kind != kind || !slices.Equal(w.Change.Steps, []approval.Step{{Role: access.SecurityOfficer, N: n}}) {
			t.Fatalf("%v; want %s to wait for %d officers", err, kind, n)
		}
		return w.Change
	}
	const plant = "trust:plant"

	h.officers(approval.RemoveTrust, 1)
	h.ok(update(meter, whole))   // which takes nothing
	h.ok(give(plant))            // likewise
	h.ok(give(h.who["desk"].ID)) // nobody whom an authority certifies
	h.ok(take(h.who["desk"].ID, access.Auditor))
	c := waits(take(plant, access.Auditor), approval.TakeTrusted, 1)
	if got := h.approve("officer", c); got.State != approval.Executed || len(grants(plant, access.Auditor)) != 0 {
		t.Errorf("%s: %s", got.State, got.Outcome)
	}
	c = waits(update(meter), approval.UpdateTrust, 1)
	if got := h.approve("officer", c); got.State != approval.Executed || len(grants(plant, access.FactoryOperator)) != 1 {
		t.Errorf("%s: %s", got.State, got.Outcome)
	}

	h.officers(approval.UpdateTrust, 2)
	waits(update(whole), approval.UpdateTrust, 2) // it takes and gives
	waits(update(meter, whole), approval.UpdateTrust, 2)
	waits(take(plant, access.FactoryOperator), approval.TakeTrusted, 2)
	waits(give(plant), approval.GiveDecider, 2)
	h.officers(approval.UpdateTrust, 1)
	h.officers(approval.RemoveTrust, 0)
	c = waits(give(plant), approval.GiveDecider, 2) // which waits already, as it was asked for
	h.ok(errOf(h.decide("officer", c, approval.Refuse)))
	c = waits(give(plant), approval.GiveDecider, 1)
	if got := h.approve("officer", c); got.State != approval.Executed || len(grants(plant, access.Auditor)) != 1 {
		t.Errorf("%s: %s", got.State, got.Outcome)
	}
	waits(take(plant, access.Auditor), approval.TakeTrusted, 1)
}

// TestTrustedRoles: what an own role includes that a trusted authority has is changed under
// the rules for what is trusted, as the grant of it is; of a role that no such authority
// has, under none of them. What was approved is done with the role as it was approved.
func TestTrustedRoles(t *testing.T) {
	h := newPKI(t)
	h.appoint("desk", access.RAOperator)
	rules := func(update, remove int) {
		t.Helper()
		h.officers(approval.UpdateTrust, update)
		h.officers(approval.RemoveTrust, remove)
	}
	const shift = access.Role("shift")
	cas := make(map[string]*pandotest.CA)
	change := func(description string, all ...access.Permission) error {
		_, err := h.Office.ChangeRole(h.ctx, h.permit("admin", access.ManageAccess), access.OwnRole{Name: shift, Description: description, Permissions: all})
		return err
	}
	includes := func(all ...access.Permission) {
		t.Helper()
		roles, err := h.Store.Roles(h.ctx, acme)
		h.ok(err)
		i := slices.IndexFunc(roles, func(r *access.OwnRole) bool { return r.Name == shift })
		if !slices.Equal(roles[i].Permissions, all) {
			t.Errorf("the role includes %v, want %v", roles[i].Permissions, all)
		}
	}
	give := func(principal string, s access.Scope) error {
		_, err := h.Office.Give(h.ctx, h.permit("admin", access.ManageAccess), principal, shift, s)
		return err
	}
	add := func(name string) error {
		ca := cas[name]
		if ca == nil {
			ca = pandotest.NewRoot(t, name, h.clock.now().Add(-time.Hour))
			cas[name] = ca
		}
		_, err := h.Trust.Add(h.ctx, h.permit("admin", access.ManageTrust), trust.NewAnchor{Name: name, Certificate: ca.Certificate.Raw, Role: shift})
		return err
	}
	waits := func(err error, kind approval.Kind, n int) *approval.Change {
		t.Helper()
		w, ok := errors.AsType[*approval.Waiting](err)
		if !ok || w.Change.Kind != kind || !slices.Equal(w.Change.Steps, []approval.Step{{Role: access.SecurityOfficer, N: n}}) {
			t.Fatalf("%v; want %s to wait for %d officers", err, kind, n)
		}
		return w.Change
	}
	ends := func(c *approval.Change, want approval.State) {
		t.Helper()
		if got := h.approve("officer", c); got.State != want {
			t.Errorf("%s: %s, want %s", got.State, got.Outcome, want)
		}
	}
	_, err := h.Office.CreateRole(h.ctx, h.permit("admin", access.ManageAccess), access.OwnRole{Name: shift, Permissions: []access.Permission{access.ReadBatches}})
	h.ok(err)
	h.officers(approval.AddTrust, 0)
	rules(1, 1)
	h.ok(give(h.who["desk"].ID, access.Scope{}))
	h.ok(change("", access.ReadAlarms, access.ReadBatches)) // nobody has it by a certificate
	rules(0, 0)
	h.ok(add("plant"))
	h.ok(change("", access.ReadBatches)) // no rule is about it

	rules(1, 0)
	h.ok(change("for the shift", access.ReadBatches)) // the same permissions
	c := waits(change("", access.Enroll, access.ReadBatches), approval.WidenRole, 1)
	includes(access.ReadBatches)
	ends(c, approval.Executed)
	includes(access.ReadBatches, access.Enroll)
	rules(0, 1)
	h.ok(change("", access.Enroll, access.ReadAlarms, access.ReadBatches)) // which takes nothing
	ends(waits(change("", access.ReadBatches), approval.WidenRole, 1), approval.Executed)
	includes(access.ReadBatches)
	rules(1, 2)
	waits(change("", access.Enroll), approval.WidenRole, 2) // it takes and gives
	if err := change("", access.ReadBatches, access.DecideApprovals); pki.KindOf(err) != pki.Malformed {
		t.Errorf("deciding by a certificate: %v", err)
	}

	// The role includes something else when what was approved is done: of who has it
	// already, and of who is to have it.
	rules(1, 1)
	c = waits(change("", access.Enroll, access.ReadBatches), approval.WidenRole, 1)
	rules(0, 0)
	h.ok(change("", access.ReadAlarms, access.ReadBatches))
	ends(c, approval.Failed)
	includes(access.ReadAlarms, access.ReadBatches)
	rules(1, 1)
	c = waits(give("trust:plant", access.Scope{Endpoint: "meter"}), approval.GiveDecider, 1)
	rules(0, 0)
	h.ok(change("", access.Enroll, access.ReadBatches))
	ends(c, approval.Failed)
	rules(1, 1)
	ends(waits(give("trust:plant", access.Scope{Endpoint: "meter"}), approval.GiveDecider, 1), approval.Executed)
	h.officers(approval.AddTrust, 1)
	c = waits(add("other"), approval.AddTrust, 1)
	rules(0, 0)
	h.ok(change("", access.ReadBatches))
	ends(c, approval.Failed)
	ends(waits(add("other"), approval.AddTrust, 1), approval.Executed)
}

func errOf[T any](_ T, err error) error { return err }

// TestBothRules: what two rules are about needs what each of them wants, and nobody twice
// where the one wants all that the other does.
func TestBothRules(t *testing.T) {
	rule := func(steps ...approval.Step) approval.Rule {
		return approval.Rule{Steps: steps, Life: approval.DefaultLife}
	}
	officer, two, admin := approval.Step{Role: access.SecurityOfficer, N: 1}, approval.Step{Role: access.SecurityOfficer, N: 2}, approval.Step{Role: access.TenantAdministrator, N: 1}
	for _, test := range []struct {
		one, other approval.Rule
		want       []approval.Step
	}{
		{rule(), rule(), nil},
		{rule(), rule(officer), []approval.Step{officer}},
		{rule(officer), rule(), []approval.Step{officer}},
		{rule(officer), rule(two), []approval.Step{two}},
		{rule(officer, admin), rule(admin), []approval.Step{officer, admin}},
		{rule(officer), rule(admin), []approval.Step{officer, admin}},
	} {
		if got := test.one.Both(test.other); !slices.Equal(got.Steps, test.want) || got.Life != approval.DefaultLife {
			t.Errorf("%s and %s: %s", test.one, test.other, got)
		}
	}
}
