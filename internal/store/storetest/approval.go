package storetest

import (
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

var twoSteps = []approval.Step{{Role: access.RAOperator, N: 2}, {Role: access.SecurityOfficer, N: 1}}

func testApprovalRules(f *fixture) {
	f.ok(f.PutTenant(f.ctx, &pki.Tenant{ID: "guarded", Organization: "Guarded", Created: f.now, Approvals: true}, f.event("guarded", "tenant.create")))
	got, err := f.Tenant(f.ctx, "guarded")
	f.ok(err)
	f.same(got.Approvals, true)
	for tenant, want := range map[pki.TenantID]bool{acme: false, "guarded": true} {
		set, defaults, err := f.ApprovalRules(f.ctx, tenant)
		f.ok(err)
		f.same([]any{len(set), defaults}, []any{0, want})
	}
	_, _, err = f.ApprovalRules(f.ctx, "nobody")
	f.is(pki.NotFound, err)

	two := approval.Rule{Kind: approval.RetireAuthority, Steps: twoSteps, Life: time.Hour}
	none := approval.Rule{Kind: approval.CreateAuthority, Life: approval.DefaultLife}
	f.is(pki.NotFound, f.SetApprovalRule(f.ctx, "nobody", two, nil, f.event("nobody", "approval.rule")))
	f.ok(f.SetApprovalRule(f.ctx, acme, none, nil, f.event(acme, "approval.rule")))
	first := approval.Rule{Kind: two.Kind, Life: time.Minute}
	refused := func(r approval.Rule, was ...approval.Rule) {
		f.is(pki.Conflict, f.SetApprovalRule(f.ctx, acme, r, was, f.event(acme, "approval.rule")))
	}
	refused(first)
	refused(first, two)
	refused(first, none, two)
	f.ok(f.SetApprovalRule(f.ctx, acme, first, []approval.Rule{none}, f.event(acme, "approval.rule")))
	refused(two, none)
	refused(two, none, approval.Rule{Kind: two.Kind, Life: time.Hour})
	other := none
	other.Life = time.Hour
	refused(two, other, first) // the rule about another kind was changed
	f.ok(f.SetApprovalRule(f.ctx, acme, two, []approval.Rule{none, first}, f.event(acme, "approval.rule")))
	refused(first, none, approval.Rule{Kind: two.Kind, Steps: twoSteps[:1], Life: time.Hour})
	f.is(pki.Conflict, f.SetApprovalRule(f.ctx, stranger, first, []approval.Rule{none, two}, f.event(stranger, "approval.rule")))
	set, _, err := f.ApprovalRules(f.ctx, acme)
	f.ok(err)
	f.same(set, []approval.Rule{none, two})
	mass := approval.Rule{Kind: approval.RunRevocation, Steps: twoSteps, Life: time.Hour, Share: 25}
	f.ok(f.SetApprovalRule(f.ctx, acme, mass, []approval.Rule{none, two}, f.event(acme, "approval.rule")))
	set, _, err = f.ApprovalRules(f.ctx, acme)
	f.ok(err)
	f.same(set, []approval.Rule{none, two, mass})
	set, _, err = f.ApprovalRules(f.ctx, stranger)
	f.ok(err)
	f.same(len(set), 0)
	f.same(f.actions(acme)[0], "approval.rule")
	f.same(f.actions(stranger), []string{"tenant.create"})
}

// few is how many changes may be open.
var few = approval.Most{Tenant: 10, Requester: 10}

// newChange returns a change that waits, not stored; n tells it from others.
func (f *fixture) newChange(n int) *approval.Change {
	at := f.now.Add(time.Duration(n) * time.Second)
	c := &approval.Change{
		ID: pki.ChangeID(pki.NewID(at)), Tenant: acme, Kind: approval.PublishProfile, Target: "profile:meter", Place: access.Scope{ProductLine: "pro, 2"}, Summary: "version 2",
		Payload: fmt.Appendf(nil, `{"n":%d}`, n), Requester: approval.Party{Tenant: acme, ID: "token:asks", Name: "laptop"},
		Created: at, Expires: at.Add(time.Hour), State: approval.Pending, Steps: twoSteps,
	}
	c.Hash = approval.HashOf(c.Tenant, c.Kind, c.Target, c.Payload)
	return c
}

func (f *fixture) putChange(n int) *approval.Change {
	f.Helper()
	c := f.newChange(n)
	kept, err := f.PutChange(f.ctx, c, false, few, f.event(acme, "change.request"))
	f.ok(err)
	f.same(kept, c)
	return c
}

// isChange holds the stored change against c.
func (f *fixture) isChange(c *approval.Change) {
	f.Helper()
	got, err := f.Change(f.ctx, acme, c.ID)
	f.ok(err)
	f.same(got, c)
}

func (f *fixture) decision(c *approval.Change, who string, v approval.Verdict) approval.Decision {
	return approval.Decision{By: approval.Party{Tenant: acme, ID: who, Name: "officer"}, At: f.now, Verdict: v, Hash: c.Hash, Comment: "as agreed"}
}

func testChanges(f *fixture) {
	first, second := f.putChange(1), f.putChange(2)
	// The same of the same requester is the one that waits; the same of another is not.
	again := *first
	again.ID, again.Created = pki.ChangeID(pki.NewID(f.now)), f.now.Add(time.Minute)
	kept, err := f.PutChange(f.ctx, &again, false, few, f.event(acme, "change.request"))
	f.ok(err)
	f.same(kept, first)
	another := again
	another.Requester.ID = "token:other"
	kept, err = f.PutChange(f.ctx, &another, false, few, f.event(acme, "change.request"))
	f.ok(err)
	f.same(kept.ID, another.ID)
	_, err = f.PutChange(f.ctx, f.newChange(9), false, approval.Most{Tenant: 3, Requester: 10}, f.event(acme, "change.request"))
	f.is(pki.RateLimited, err)
	_, err = f.PutChange(f.ctx, f.newChange(9), false, approval.Most{Tenant: 10, Requester: 2}, f.event(acme, "change.request"))
	f.is(pki.RateLimited, err)
	f.same(f.actions(acme)[:4], []string{"change.request", "change.request", "change.request", "authority.activate"})

	_, err = f.Change(f.ctx, stranger, first.ID)
	f.is(pki.NotFound, err)
	for tenant, want := range map[pki.TenantID]int{acme: 3, stranger: 0} {
		all, err := f.Changes(f.ctx, tenant, "", "", 10)
		f.ok(err)
		f.same(len(all), want)
	}

	// Decisions, one after another.
	d := f.decision(first, "token:one", approval.Approve)
	f.is(pki.NotFound, f.Decide(f.ctx, stranger, first.ID, 0, d, approval.Pending, "", f.event(stranger, "change.approve")))
	f.ok(f.Decide(f.ctx, acme, first.ID, 0, d, approval.Pending, "", f.event(acme, "change.approve")))
	first.Decisions = append(first.Decisions, d)
	f.isChange(first)
	f.is(pki.Conflict, f.Decide(f.ctx, acme, first.ID, 1, d, approval.Pending, "", f.event(acme, "change.approve")))
	d = f.decision(first, "token:two", approval.Refuse)
	f.is(pki.Conflict, f.Decide(f.ctx, acme, first.ID, 0, d, approval.Refused, "no", f.event(acme, "change.refuse")))
	f.isChange(first)
	f.ok(f.Decide(f.ctx, acme, first.ID, 1, d, approval.Refused, "no", f.event(acme, "change.refuse")))
	first.Decisions, first.State, first.Outcome, first.Finished = append(first.Decisions, d), approval.Refused, "no", f.now
	f.isChange(first)
	f.is(pki.Conflict, f.Decide(f.ctx, acme, first.ID, 2, f.decision(first, "token:three", approval.Approve), approval.Approved, "", f.event(acme, "change.approve")))

	// Ends, from the state that it is in.
	f.is(pki.NotFound, f.EndChange(f.ctx, stranger, second.ID, approval.Pending, approval.Withdrawn, "", f.now, f.event(stranger, "change.withdraw")))
	f.is(pki.Conflict, f.EndChange(f.ctx, acme, second.ID, approval.Approved, approval.Failed, "", f.now, f.event(acme, "change.fail")))
	f.ok(f.EndChange(f.ctx, acme, second.ID, approval.Pending, approval.Withdrawn, "a mistake", f.now, f.event(acme, "change.withdraw")))
	second.State, second.Outcome, second.Finished = approval.Withdrawn, "a mistake", f.now
	f.isChange(second)
	f.same(f.actions(acme)[:3], []string{"change.withdraw", "change.refuse", "change.approve"})
	f.same(f.actions(stranger), []string{"tenant.create"})

	// The same may be asked for again; pages, and those that are open.
	f.later(time.Minute)
	third := f.putChange(2)
	page, err := f.Changes(f.ctx, acme, "", third.ID, 2)
	f.ok(err)
	f.same([]pki.ChangeID{page[0].ID, page[1].ID}, []pki.ChangeID{second.ID, first.ID})
	page, err = f.Changes(f.ctx, acme, approval.Refused, "", 10)
	f.ok(err)
	first.Payload = nil
	f.same(page, []*approval.Change{first})
	open, err := f.OpenChanges(f.ctx, "", 10)
	f.ok(err)
	f.same(len(open), 2)
	open, err = f.OpenChanges(f.ctx, open[0].ID, 10)
	f.ok(err)
	f.same(len(open), 1)

	// Those that failed, and since when.
	failed, err := f.FailedChanges(f.ctx, f.now)
	f.ok(err)
	f.same(failed, map[pki.TenantID]int{})
	f.ok(f.EndChange(f.ctx, acme, third.ID, approval.Pending, approval.Failed, "gone", f.now, f.event(acme, "change.fail")))
	failed, err = f.FailedChanges(f.ctx, f.now)
	f.ok(err)
	f.same(failed, map[pki.TenantID]int{acme: 1})
	failed, err = f.FailedChanges(f.ctx, f.now.Add(time.Second))
	f.ok(err)
	f.same(failed, map[pki.TenantID]int{})
}

// testExecutedOnce: the event of an act moves the change that it executes, once, with
// the act or not at all.
func testExecutedOnce(f *fixture) {
	c := f.putChange(1)
	act := f.event(acme, "endpoint.create")
	act.Change, act.Detail = c.ID, "what"
	put := func(tenant pki.TenantID, name string, e pki.Event) error {
		return f.PutEndpoint(f.ctx, &pki.Endpoint{Tenant: tenant, Name: name}, nil, e)
	}
	f.is(pki.Conflict, put(acme, "early", act))
	f.ok(f.Decide(f.ctx, acme, c.ID, 0, f.decision(c, "token:one", approval.Approve), approval.Approved, "", f.event(acme, "change.approve")))
	theirs := act
	theirs.Tenant = stranger
	f.is(pki.NotFound, put(stranger, "theirs", theirs))
	act.At = f.now.Add(time.Minute)
	f.ok(put(acme, "done", act))
	f.is(pki.Conflict, put(acme, "twice", act))
	for _, name := range []string{"early", "twice"} {
		_, err := f.Endpoint(f.ctx, acme, name)
		f.is(pki.NotFound, err)
	}
	got, err := f.Change(f.ctx, acme, c.ID)
	f.ok(err)
	f.same([]any{got.State, got.Finished}, []any{approval.Executed, act.At})
	events, _, err := f.Events(f.ctx, acme, hierarchy.EventFilter{}, "", 1)
	f.ok(err)
	f.same(events[0].Detail, "what (approved: change "+string(c.ID)+")")
	f.is(pki.Conflict, f.EndChange(f.ctx, acme, c.ID, approval.Approved, approval.Failed, "", f.now, f.event(acme, "change.fail")))
}

// testAskedChange: an act that is asked for again is told what became of it.
func testAskedChange(f *fixture) {
	_, err := f.AskedChange(f.ctx, acme, "token:asks", [32]byte{1})
	f.is(pki.NotFound, err)
	c := f.newChange(1)
	c.Proof = []byte("certificates")
	ask := func() *approval.Change {
		f.Helper()
		again := f.newChange(2)
		again.Payload, again.Hash = c.Payload, c.Hash
		kept, err := f.PutChange(f.ctx, again, true, few, f.event(acme, "change.request"))
		f.ok(err)
		return kept
	}
	_, err = f.PutChange(f.ctx, c, true, few, f.event(acme, "change.request"))
	f.ok(err)
	f.same(ask(), c)
	f.isChange(c)
	f.ok(f.EndChange(f.ctx, acme, c.ID, approval.Pending, approval.Withdrawn, "no", f.now, f.event(acme, "change.withdraw")))
	f.same(ask().State, approval.Withdrawn)
	got, err := f.AskedChange(f.ctx, acme, c.Requester.ID, c.Hash)
	f.ok(err)
	f.same([]any{got.ID, got.State, string(got.Proof)}, []any{c.ID, approval.Withdrawn, "certificates"})
	for _, other := range []struct {
		tenant    pki.TenantID
		requester string
	}{{stranger, c.Requester.ID}, {acme, "token:other"}} {
		_, err := f.AskedChange(f.ctx, other.tenant, other.requester, c.Hash)
		f.is(pki.NotFound, err)
	}
}

// testExecutedByIntent: an intent has the change that it executes to itself; the record
// ends the change with the certificate, and a void intent gives it back.
func testExecutedByIntent(f *fixture) {
	c := f.newChange(1)
	c.Kind, c.Target = approval.Enroll, "endpoint:meter"
	c.Hash = approval.HashOf(c.Tenant, c.Kind, c.Target, c.Payload)
	_, err := f.PutChange(f.ctx, c, true, few, f.event(acme, "change.request"))
	f.ok(err)
	executing := func(device pki.DeviceID) *issuance.Item {
		it := f.item(device)
		it.Change, it.Actor = c.ID, "token:asks (laptop)"
		return it
	}
	state := func(want approval.State, certificates int) {
		f.Helper()
		got, err := f.Change(f.ctx, acme, c.ID)
		f.ok(err)
		f.same([]any{got.State, len(got.Certificates)}, []any{want, certificates})
	}
	early := executing("meter-1")
	f.intend(f.intent(early))
	f.is(pki.Conflict, early.Refused)
	f.ok(f.Decide(f.ctx, acme, c.ID, 0, f.decision(c, "token:one", approval.Approve), approval.Approved, "", f.event(acme, "change.approve")))

	// While it is being done nobody ends it, and nobody else does it.
	first, second := executing("meter-1"), executing("meter-1")
	in := f.intent(first)
	f.intend(in, f.intent(second))
	f.is(pki.Conflict, second.Refused)
	f.is(pki.Conflict, f.EndChange(f.ctx, acme, c.ID, approval.Approved, approval.Failed, "", f.now, f.event(acme, "change.fail")))
	f.record(in) // unsigned: void
	state(approval.Approved, 0)

	// Nor does it go when the process ends: what takes over gives it back.
	third := executing("meter-1")
	f.intend(f.intent(third))
	f.later(time.Hour)
	f.enter()
	adopted, err := f.Adopt(f.ctx, f.node, f.epoch, f.now, 10)
	f.ok(err)
	f.record(adopted...)
	state(approval.Approved, 0)

	theirs := executing("meter-1")
	f.borrow(theirs)
	f.intend(f.intent(theirs))
	f.is(pki.Conflict, theirs.Refused)

	a, b := executing("meter-1"), executing("meter-1")
	a.With, b.With = b, a
	done := f.issue(a, b)
	state(approval.Executed, 2)
	got, err := f.AskedChange(f.ctx, acme, c.Requester.ID, c.Hash)
	f.ok(err)
	f.same(got.Certificates, []approval.Certificate{{Issuer: done.Issuer, Serial: a.Serial}, {Issuer: done.Issuer, Serial: b.Serial}})
	events, _, err := f.Events(f.ctx, acme, hierarchy.EventFilter{Target: "change:" + string(c.ID)}, "", 2)
	f.ok(err)
	f.same(len(events), 1)
	f.same([]string{events[0].Actor, events[0].Action, events[0].Target}, []string{a.Actor, "change.execute", "change:" + string(c.ID)})
	late := executing("meter-1")
	f.intend(f.intent(late))
	f.is(pki.Conflict, late.Refused)
	actor, err := f.Asker(f.ctx, acme, done.Issuer, a.Serial)
	f.ok(err)
	f.same(actor, a.Actor)
	_, err = f.Asker(f.ctx, stranger, done.Issuer, a.Serial)
	f.is(pki.NotFound, err)
	for tenant, want := range map[pki.TenantID]pki.ChangeID{acme: c.ID, stranger: ""} {
		id, err := f.ChangeOf(f.ctx, tenant, done.Issuer, b.Serial)
		f.ok(err)
		f.same(id, want)
	}
}
