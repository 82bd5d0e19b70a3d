package approval_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/store/sqlstore"
	"github.com/pando-pki/pando/internal/trust"
)

// overtaken is the store as an act meets it that somebody else overtakes: another is done
// after all that the act looks at, and before what it stores.
type overtaken struct {
	*sqlstore.Store
	by func() // nil is nobody
}

func (o *overtaken) let() {
	if by := o.by; by != nil {
		o.by = nil
		by()
	}
}

func (o *overtaken) ChangeRole(ctx context.Context, r *access.OwnRole, was []access.Permission, trusted []string, e pki.Event) error {
	o.let()
	return o.Store.ChangeRole(ctx, r, was, trusted, e)
}

func (o *overtaken) PutGrant(ctx context.Context, g *access.Grant, e pki.Event) error {
	o.let()
	return o.Store.PutGrant(ctx, g, e)
}

func (o *overtaken) PutToken(ctx context.Context, t *access.Token, e pki.Event) error {
	o.let()
	return o.Store.PutToken(ctx, t, e)
}

func (o *overtaken) PutAnchor(ctx context.Context, a *trust.Anchor, e pki.Event) error {
	o.let()
	return o.Store.PutAnchor(ctx, a, e)
}

func (o *overtaken) ChangeAnchor(ctx context.Context, a *trust.Anchor, had []access.Grant, e pki.Event) error {
	o.let()
	return o.Store.ChangeAnchor(ctx, a, had, e)
}

func (o *overtaken) RemoveAnchor(ctx context.Context, a *trust.Anchor, e pki.Event) error {
	o.let()
	return o.Store.RemoveAnchor(ctx, a, e)
}

func (o *overtaken) SetApprovalRule(ctx context.Context, tenant pki.TenantID, r approval.Rule, was []approval.Rule, e pki.Event) error {
	o.let()
	return o.Store.SetApprovalRule(ctx, tenant, r, was, e)
}

func (o *overtaken) PutLoan(ctx context.Context, l *pki.Loan, before int64, e pki.Event) error {
	o.let()
	return o.Store.PutLoan(ctx, l, before, e)
}

// TestOverlaps: of two acts that look at the same time at what the other one changes, the
// second is refused: what a rule wants approved does not come of the two together, nor what
// nobody may give. So it is where the second was approved.
func TestOverlaps(t *testing.T) {
	h := newPKI(t)
	h.appoint("desk", access.RAOperator)
	store := &overtaken{Store: h.Store}
	office := access.NewOffice(access.OfficeConfig{Store: store, Gate: h.Approvals, Now: h.clock.now, Changed: func() {}})
	trusts := trust.New(trust.Config{Store: store, Directory: h.Hierarchy, Gate: h.Approvals, Now: h.clock.now})
	tokens := access.NewTokens(store, h.clock.now)
	tokens.Heed(h.Approvals)
	h.Approvals.Serve(trusts.Executors(), approval.Giving(office))

	manage, trusting, making := h.permit("admin", access.ManageAccess), h.permit("admin", access.ManageTrust), h.permit("admin", access.ManageTokens)
	meter := access.Scope{Endpoint: "meter"}
	few, many := []access.Permission{access.ReadBatches}, []access.Permission{access.Enroll, access.ReadBatches}
	decides := []access.Permission{access.DecideApprovals, access.ReadBatches}
	change := func(o *access.Office, role access.Role, all []access.Permission) error {
		_, err := o.ChangeRole(h.ctx, manage, access.OwnRole{Name: role, Permissions: all})
		return err
	}
	give := func(o *access.Office, principal string, role access.Role) error {
		_, err := o.Give(h.ctx, manage, principal, role, meter)
		return err
	}
	trusted := make(map[string][]byte)
	add := func(s *trust.Service, name string, role access.Role) error {
		if trusted[name] == nil {
			trusted[name] = pandotest.NewRoot(t, name, h.clock.now().Add(-time.Hour)).Certificate.Raw
		}
		_, err := s.Add(h.ctx, trusting, trust.NewAnchor{Name: name, Certificate: trusted[name], Role: role, Scopes: []access.Scope{meter}})
		return err
	}
	// replace has another authority trusted under a name.
	replace := func(name string, role access.Role) error {
		trusted[name] = nil
		return errors.Join(h.Trust.Remove(h.ctx, trusting, name), add(h.Trust, name, role))
	}
	create := func(role access.Role) error {
		_, _, err := tokens.Create(h.ctx, making, access.NewToken{Name: "new", Role: role})
		return err
	}
	rules := func(n int) {
		for _, kind := range []approval.Kind{approval.AddTrust, approval.UpdateTrust, approval.RemoveTrust, approval.GiveDecider, approval.WidenRole} {
			h.officers(kind, n)
		}
	}
	// state is all that the acts change.
	state := func() (all []any) {
		roles, err := h.Store.Roles(h.ctx, acme)
		h.ok(err)
		anchors, err := h.Store.Anchors(h.ctx, acme)
		h.ok(err)
		holders, err := h.Store.Tokens(h.ctx, acme)
		h.ok(err)
		return []any{roles, anchors, holders}
	}
	for i, test := range []struct {
		what     string
		has      bool // the trusted authority has the role
		approved bool // the act waited
		act      func(role access.Role, name string) error
		other    func(role access.Role, name string) error
	}{
		{"a role is changed, and given by trust", false, false,
			func(role access.Role, _ string) error { return change(office, role, many) },
			func(role access.Role, name string) error { return give(h.Office, trust.Principal(name), role) }},
		{"a role is changed, and an authority trusted with it", false, false,
			func(role access.Role, _ string) error { return change(office, role, many) },
			func(role access.Role, name string) error { return add(h.Trust, name+"-too", role) }},
		{"a role comes to decide, and is given by trust", false, true,
			func(role access.Role, _ string) error { return change(office, role, decides) },
			func(role access.Role, name string) error { return give(h.Office, trust.Principal(name), role) }},
		{"a role is given by trust, and changed", false, true,
			func(role access.Role, name string) error { return give(office, trust.Principal(name), role) },
			func(role access.Role, _ string) error { return change(h.Office, role, many) }},
		{"an authority is trusted with a role, which is changed", false, true,
			func(role access.Role, name string) error { return add(trusts, name+"-too", role) },
			func(role access.Role, _ string) error { return change(h.Office, role, many) }},
		{"an authority is trusted with a role, which is deleted", false, true,
			func(role access.Role, name string) error { return add(trusts, name+"-too", role) },
			func(role access.Role, _ string) error { return h.Office.DeleteRole(h.ctx, manage, role) }},
		{"trust gets more scopes, and its role is changed", true, true,
			func(_ access.Role, name string) error {
				_, err := trusts.Update(h.ctx, trusting, name, []access.Scope{{}, meter})
				return err
			},
			func(role access.Role, _ string) error { return change(h.Office, role, many) }},
		{"a role is given to a token, and comes to decide", false, false,
			func(role access.Role, _ string) error { return give(office, h.who["desk"].ID, role) },
			func(role access.Role, _ string) error { return change(h.Office, role, decides) }},
		{"a token is made with a role, which comes to decide", false, false,
			func(role access.Role, _ string) error { return create(role) },
			func(role access.Role, _ string) error { return change(h.Office, role, decides) }},
		{"a token is made with a role, which is deleted", false, false,
			func(role access.Role, _ string) error { return create(role) },
			func(role access.Role, _ string) error { return h.Office.DeleteRole(h.ctx, manage, role) }},
		{"trust is given a role, and is one in devices", false, true,
			func(role access.Role, name string) error { return give(office, trust.Principal(name), role) },
			func(_ access.Role, name string) error { return replace(name, access.Device) }},
		{"trust is given a role, and is one in another authority", false, true,
			func(role access.Role, name string) error { return give(office, trust.Principal(name), role) },
			func(_ access.Role, name string) error { return replace(name, access.OEMPartner) }},
		{"trust ends, and is one in another authority", false, true,
			func(_ access.Role, name string) error { return trusts.Remove(h.ctx, trusting, name) },
			func(_ access.Role, name string) error { return replace(name, access.OEMPartner) }},
	} {
		role, name := access.Role(fmt.Sprint("role-", i)), fmt.Sprint("plant-", i)
		rules(0)
		_, err := h.Office.CreateRole(h.ctx, manage, access.OwnRole{Name: role, Permissions: few})
		h.ok(err)
		has := access.Auditor
		if test.has {
			has = role
		}
		h.ok(add(h.Trust, name, has))
		rules(1)
		var want []any
		overtake := func() {
			rules(0) // as others may who have it approved
			h.ok(test.other(role, name))
			want = state()
		}
		if test.approved {
			w, waits := errors.AsType[*approval.Waiting](test.act(role, name))
			if !waits {
				t.Fatalf("%s: it does not wait", test.what)
			}
			store.by = overtake
			if got := h.approve("officer", w.Change); got.State != approval.Failed {
				t.Errorf("%s: %s, want %s", test.what, got.State, approval.Failed)
			}
		} else {
			store.by = overtake
			if err := test.act(role, name); err == nil || pki.KindOf(err) != pki.Conflict {
				t.Errorf("%s: %v, want %s", test.what, err, pki.Conflict)
			}
		}
		if want == nil {
			t.Fatalf("%s: nobody was there in between", test.what)
		}
		if diff := cmp.Diff(want, state()); diff != "" {
			t.Errorf("%s: %s", test.what, diff)
		}
	}
}

// TestNameOfAnother: what was asked for the holders of one authority's certificates is not
// given to those of another that is trusted under its name while that waits.
func TestNameOfAnother(t *testing.T) {
	h := newPKI(t)
	trusting := h.permit("admin", access.ManageTrust)
	add := func() {
		t.Helper()
		_, err := h.Trust.Add(h.ctx, trusting, trust.NewAnchor{Name: "plant", Certificate: pandotest.NewRoot(t, "plant", h.clock.now().Add(-time.Hour)).Certificate.Raw, Role: access.Auditor})
		h.ok(err)
	}
	h.officers(approval.AddTrust, 0)
	h.officers(approval.RemoveTrust, 0)
	h.officers(approval.UpdateTrust, 1)
	add()
	_, err := h.Office.Give(h.ctx, h.permit("admin", access.ManageAccess), trust.Principal("plant"), access.OEMPartner, access.Scope{})
	w, waits := errors.AsType[*approval.Waiting](err)
	if !waits {
		t.Fatalf("it does not wait: %v", err)
	}
	h.ok(h.Trust.Remove(h.ctx, trusting, "plant"))
	add()
	if got := h.approve("officer", w.Change); got.State != approval.Failed {
		t.Errorf("%s, want %s", got.State, approval.Failed)
	}
	has, err := h.Store.Grants(h.ctx, acme, trust.Principal("plant"), "")
	h.ok(err)
	if len(has) != 1 || has[0].Role != access.Auditor {
		t.Errorf("it has %s", access.GrantsText(has))
	}
}

// TestRulesOverlap: a rule that was not looser than the one before is not set where that
// was tightened meanwhile, and one that was approved is not set in the place of another.
func TestRulesOverlap(t *testing.T) {
	h := newHouse(t)
	store := &overtaken{Store: h.Store}
	other := approval.New(approval.Config{Store: store, Principals: h.Tokens, Certificates: h.Trust, Alarms: h.Alarms, Now: h.clock.now, Log: slog.New(slog.DiscardHandler)})
	officers := func(n int, life time.Duration) approval.Rule {
		return approval.Rule{Kind: approval.AddTrust, Steps: []approval.Step{{Role: access.SecurityOfficer, N: n}}, Life: life}
	}
	set := func(s *approval.Service, r approval.Rule) error {
		_, err := s.SetRule(h.ctx, h.permit("admin", access.ManageApprovals), r)
		return err
	}
	tighten := func() { h.ok(set(h.Approvals, officers(2, time.Hour))) }
	holds := func(want approval.Rule) {
		t.Helper()
		all, err := h.Approvals.Rules(h.ctx, h.permit("admin", access.ReadApprovals))
		h.ok(err)
		if at := slices.IndexFunc(all, want.Equal); at < 0 {
			t.Errorf("the rule is not %s", want)
		}
	}
	h.SetRule(t, acme, officers(1, 2*time.Hour))
	store.by = tighten
	h.is(set(other, officers(1, time.Minute)), pki.Conflict, "look at it again")
	holds(officers(2, time.Hour))

	h.SetRule(t, acme, officers(1, time.Hour))
	w, waits := errors.AsType[*approval.Waiting](set(other, officers(1, 2*time.Hour)))
	if !waits {
		t.Fatal("what loosens a rule does not wait")
	}
	store.by = tighten
	_, err := other.Decide(h.ctx, h.permit("officer", access.DecideApprovals), w.Change.ID, approval.Approve, w.Change.Hash, "")
	h.ok(err)
	got, err := h.Store.Change(h.ctx, acme, w.Change.ID)
	h.ok(err)
	if got.State != approval.Failed {
		t.Errorf("%s, want %s", got.State, approval.Failed)
	}
	holds(officers(2, time.Hour))

	// So it is where the kind followed the rule that was tightened.
	h.SetRule(t, acme, officers(1, time.Hour))
	follower := officers(1, time.Minute)
	follower.Kind = approval.UpdateTrust
	store.by = tighten
	h.is(set(other, follower), pki.Conflict, "look at it again")
	follower.Steps, follower.Life = officers(2, 0).Steps, time.Hour
	holds(follower)
}

// TestLoansOverlap: a loan that was for no more than before is not made where it was for
// less by then, or was taken back; one that was approved is not in the place of another.
func TestLoansOverlap(t *testing.T) {
	h := newPKI(t)
	store := &overtaken{Store: h.Store}
	other := hierarchy.New(hierarchy.Config{Store: store, Revocations: h.Store, CRLs: h.Revocation, Keys: h.Signer, RA: h.Enroll, CA: h.Issuance, Gate: h.Approvals, Now: h.clock.now})
	h.Approvals.Serve(other.Executors())
	const child = "acme-oem"
	g := h.permit("admin", access.ManageChildren)
	_, err := h.Hierarchy.CreateChild(h.ctx, g, child, "Example OEM")
	h.ok(err)
	lend := func(s *hierarchy.Service, limit int64) error {
		_, err := s.Lend(h.ctx, g, child, hierarchy.NewLoan{Name: "meters", Authority: "issuing", Profile: "meter", Limit: limit})
		return err
	}
	holds := func(want ...int64) {
		t.Helper()
		loans, err := h.Hierarchy.Lent(h.ctx, g, child)
		h.ok(err)
		var limits []int64
		for _, l := range loans {
			limits = append(limits, l.Limit)
		}
		if !slices.Equal(limits, want) {
			t.Errorf("lent are %v, want %v", limits, want)
		}
	}
	h.officers(approval.Lend, 0)
	h.ok(lend(h.Hierarchy, 9))
	h.officers(approval.Lend, 1)
	store.by = func() { h.ok(lend(h.Hierarchy, 2)) }
	h.is(lend(other, 5), pki.Conflict, "look at it again")
	holds(2)
	store.by = func() { h.ok(h.Hierarchy.TakeBack(h.ctx, g, child, "meters")) }
	h.is(lend(other, 2), pki.Conflict, "look at it again")
	holds()

	w, waits := errors.AsType[*approval.Waiting](lend(other, 7))
	if !waits {
		t.Fatal("a loan does not wait")
	}
	store.by = func() {
		h.officers(approval.Lend, 0)
		h.ok(lend(h.Hierarchy, 3))
	}
	if got := h.approve("officer", w.Change); got.State != approval.Failed {
		t.Errorf("%s, want %s", got.State, approval.Failed)
	}
	holds(3)
}
