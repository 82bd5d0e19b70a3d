package approval_test

import (
	"errors"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// token has somebody make a token, and returns the error.
func (h *house) token(by, name string, role access.Role) error {
	h.Helper()
	_, _, err := h.Tokens.Create(h.ctx, h.permit(by, access.ManageTokens), access.NewToken{Name: name, Role: role})
	return err
}

// TestDeciders: whoever could be refused by an approver does not make another one alone;
// whoever appointed all approvers does, or a tenant could not begin.
func TestDeciders(t *testing.T) {
	h := newHouse(t) // the chief appointed all but the administrators
	h.ok(h.token("chief", "fourth", access.SecurityOfficer))

	h.is(h.token("admin", "mine", access.SecurityOfficer), pki.Conflict, "'pando grant add'")
	h.is(h.token("admin", "mine", access.RAOperator), pki.Conflict, "decides on approvals")
	h.is(h.token("admin", "mine", access.TenantAdministrator), pki.Conflict, "decides on approvals")
	h.ok(h.token("admin", "mine", access.Auditor))

	give := func() error {
		_, err := h.Office.Give(h.ctx, h.permit("admin", access.ManageAccess), h.who["auditor"].ID, access.SecurityOfficer, access.Scope{})
		return err
	}
	w, ok := errors.AsType[*approval.Waiting](give())
	if !ok || w.Change.Kind != approval.GiveDecider {
		t.Fatalf("it does not wait: %+v", w)
	}
	_, err := h.decide("admin", w.Change, approval.Approve)
	h.is(err, pki.Forbidden, "somebody else")
	if got := h.approve("officer", w.Change); got.State != approval.Executed {
		t.Errorf("it is %s: %s", got.State, got.Outcome)
	}

	// An own role that comes to decide; to decide no more needs nobody.
	change := func(permissions ...access.Permission) error {
		_, err := h.Office.ChangeRole(h.ctx, h.permit("admin", access.ManageAccess), access.OwnRole{Name: "desk", Permissions: permissions})
		return err
	}
	_, err = h.Office.CreateRole(h.ctx, h.permit("admin", access.ManageAccess), access.OwnRole{Name: "desk", Permissions: []access.Permission{access.ReadAlarms, access.DecideApprovals}})
	h.ok(err)
	h.is(change(access.ReadAlarms, access.DecideApprovals, access.ManageApprovals), pki.Pending, "waits")
	h.ok(change(access.ReadAlarms))
	h.is(change(access.ReadAlarms, access.DecideApprovals), pki.Pending, "waits")

	// Where those who could refuse are gone, a tenant must go on.
	for _, name := range []string{"officer", "deputy", "third", "auditor"} {
		h.dismiss(name)
	}
	all, err := h.Store.Tokens(h.ctx, acme)
	h.ok(err)
	for _, tok := range all {
		if tok.Name == "fourth" {
			h.ids["fourth"] = tok.ID
		}
	}
	h.is(h.token("admin", "mine", access.SecurityOfficer), pki.Conflict, "decides on approvals")
	h.dismiss("fourth")
	h.ok(h.token("admin", "mine", access.SecurityOfficer))
}

// TestEverydayActs: endpoints and trust need nobody unless the tenant says so.
func TestEverydayActs(t *testing.T) {
	for _, r := range approval.Defaults() {
		everyday := r.Kind == approval.CreateEndpoint || r.Kind == approval.UpdateEndpoint || r.Kind == approval.AddTrust || r.Kind == approval.UpdateTrust || r.Kind == approval.RemoveTrust
		if everyday != (len(r.Steps) == 0) {
			t.Errorf("%s needs %s", r.Kind, r)
		}
	}
}

// TestNoJobOverAuthorities: the certificates of authorities are revoked one by one, each
// under its rule.
func TestNoJobOverAuthorities(t *testing.T) {
	h := newPKI(t)
	root := h.certificateOf("issuing").Issuer
	_, _, err := h.RevocationJobs.Create(h.ctx, h.permit("admin", access.Revoke), revocation.NewJob{Selection: revocation.Selection{Issuer: root}, Reason: pki.CACompromise})
	h.is(err, pki.PolicyRefused, "one by one")
}

// TestRulesThatNobodyCouldFollow: a rule is not tightened until nobody can follow it,
// whoever tightens it not counted.
func TestRulesThatNobodyCouldFollow(t *testing.T) {
	h := newHouse(t) // three officers, one of the desk
	set := func(by string, steps ...approval.Step) error {
		_, err := h.Approvals.SetRule(h.ctx, h.permit(by, access.ManageApprovals), approval.Rule{Kind: approval.PublishProfile, Steps: steps})
		return err
	}
	officers := func(n int) approval.Step { return approval.Step{Role: access.SecurityOfficer, N: n} }
	h.is(set("officer", officers(3)), pki.Conflict, "nobody could follow this rule: 3 of role security-officer")
	h.is(set("admin", officers(4)), pki.Conflict, "nobody could follow")
	h.is(set("admin", officers(2), officers(2)), pki.Conflict, "nobody could follow")
	h.is(set("admin", officers(1), approval.Step{Role: access.RAOperator, N: 2}), pki.Conflict, "nobody could follow")
	h.ok(set("officer", officers(2)))
	h.ok(set("admin", officers(2), officers(1), approval.Step{Role: access.RAOperator, N: 1}))
	h.dismiss("third") // the rule stands; it cannot be made longer
	h.is(set("admin", officers(2), officers(1), approval.Step{Role: access.RAOperator, N: 1}, officers(1)), pki.Conflict, "nobody could follow")
}
