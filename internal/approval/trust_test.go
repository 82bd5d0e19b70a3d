package approval_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// TestTrustRules: what takes from those whom a trusted authority certifies needs what the
// end of the trust needs, and what gives them more needs what an update of it needs, by
// whichever act it is done.
func TestTrustRules(t *testing.T) {
	h := newPKI(t)
	h.appoint("desk", access.RAOperator)
	rule := func(kind approval.Kind, n int) {
		t.Helper()
		r := approval.Rule{Kind: kind, Life: approval.DefaultLife}
		if n > 0 {
			r.Steps = []approval.Step{{Role: access.SecurityOfficer, N: n}}
		}
		h.ok(h.Store.SetApprovalRule(h.ctx, acme, r, pki.Event{Tenant: acme, At: h.clock.now(), Action: "approval.rule"}))
	}
	for _, kind := range []approval.Kind{approval.AddTrust, approval.UpdateTrust, approval.RemoveTrust} {
		rule(kind, 0)
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

	rule(approval.RemoveTrust, 1)
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

	rule(approval.UpdateTrust, 2)
	waits(update(whole), approval.UpdateTrust, 2) // it takes and gives
	waits(update(meter, whole), approval.UpdateTrust, 2)
	waits(take(plant, access.FactoryOperator), approval.TakeTrusted, 2)
	waits(give(plant), approval.GiveDecider, 2)
	rule(approval.UpdateTrust, 1)
	rule(approval.RemoveTrust, 0)
	c = waits(give(plant), approval.GiveDecider, 2) // which waits already, as it was asked for
	h.ok(errOf(h.decide("officer", c, approval.Refuse)))
	c = waits(give(plant), approval.GiveDecider, 1)
	if got := h.approve("officer", c); got.State != approval.Executed || len(grants(plant, access.Auditor)) != 1 {
		t.Errorf("%s: %s", got.State, got.Outcome)
	}
	waits(take(plant, access.Auditor), approval.TakeTrusted, 1)
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
