package approval_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// unable is executors that can do nothing at this moment.
var unable = map[approval.Kind]approval.Executor{approval.PublishProfile: {
	Permission: access.ManageProfiles,
	Do: func(context.Context, access.Permit, []byte) error {
		return pki.Errorf(pki.Unavailable, "the disk is full")
	},
}}

// approved asks for a change and has it approved by a service that cannot do it yet.
func (h *house) approved(who ...string) *approval.Change {
	h.Helper()
	c := h.ask("pki", "1")
	h.finish(h.again(unable), c, who...)
	h.state(c, approval.Approved, 0)
	return c
}

// finish decides by another service than the stack's.
func (h *house) finish(by *approval.Service, c *approval.Change, who ...string) {
	h.Helper()
	for _, name := range who {
		_, err := by.Decide(h.ctx, h.permit(name, access.DecideApprovals), c.ID, approval.Approve, c.Hash, "")
		h.ok(err)
	}
}

// TestStuck: a change that could not be done raises an alarm; one that is being done at
// that moment raises none.
func TestStuck(t *testing.T) {
	h := newHouse(t)
	c := h.approved("officer")
	board := func(s *approval.Service) (names []string) {
		h.ok(s.Round(h.ctx))
		for _, a := range s.Alarms().All() {
			names = append(names, a.Name)
		}
		return names
	}
	if got := board(h.again(unable)); !slices.Equal(got, []string{"approval.stuck"}) {
		t.Errorf("alarms %v of one that was put off", got)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	s := h.again(map[approval.Kind]approval.Executor{approval.PublishProfile: {
		Permission: access.ManageProfiles,
		Do: func(ctx context.Context, g access.Permit, payload []byte) error {
			close(begun)
			<-goOn
			return h.Hierarchy.Executors()[approval.PublishProfile].Do(ctx, g, payload)
		},
	}})
	done := make(chan error, 1)
	go func() { done <- s.Round(h.ctx) }()
	<-begun
	if got := board(s); len(got) > 0 {
		t.Errorf("alarms %v while it is being done", got)
	}
	close(goOn)
	h.ok(<-done)
	h.state(c, approval.Executed, 1)
}

func TestExecutedAfterRestart(t *testing.T) {
	h := newHouse(t)
	c := h.approved("officer")
	h.ok(h.again(unable).Round(h.ctx))
	h.state(c, approval.Approved, 0)
	for range 2 {
		h.ok(h.again(h.Hierarchy.Executors()).Round(h.ctx))
		h.state(c, approval.Executed, 1)
	}
}

// TestCheckedAgain: what was lost since the approval ends the change.
func TestCheckedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		between func(*house, *approval.Change)
		text    string
	}{
		"the requester's token is revoked": {func(h *house, _ *approval.Change) { h.dismiss("pki") }, "the requester may not do this any more"},
		"the approver's token is revoked":  {func(h *house, _ *approval.Change) { h.dismiss("officer") }, "the approver token:"},
		"it expired":                       {func(h *house, _ *approval.Change) { h.clock.pass(approval.DefaultLife) }, "not done before it expired"},
		"the tenant is suspended": {func(h *house, _ *approval.Change) { h.edit(`UPDATE tenant SET suspended = 1 WHERE id = $1`, acme) },
			"was suspended by its parent meanwhile"},
		"it was altered": {func(h *house, c *approval.Change) { h.alter(c) }, "was altered in the store"},
		"something else came first": {func(h *house, _ *approval.Change) {
			other := h.ask("admin", "other")
			h.approve("deputy", other)
		}, "something it builds on has changed since"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			c := h.approved("officer")
			test.between(h, c)
			h.ok(h.Approvals.Round(h.ctx))
			versions := 0
			if name == "something else came first" {
				versions = 1
			}
			got := h.state(c, approval.Failed, versions)
			h.is(pki.Errorf(pki.Conflict, "%s", got.Outcome), pki.Conflict, test.text)
			if !slices.Contains(h.actions(), "change.fail") {
				t.Error("no event")
			}
		})
	}
}

// TestRoleLostBeforeDecision: one whose token ended decides nothing, and an approval of
// one who left meanwhile counts for nothing at the end.
func TestRoleLostBeforeDecision(t *testing.T) {
	h := newHouse(t)
	h.rule(time.Hour, approval.Step{Role: access.SecurityOfficer, N: 2})
	c := h.ask("pki", "1")
	h.approve("officer", c)
	h.dismiss("officer")
	h.approve("deputy", c)
	got := h.state(c, approval.Failed, 0)
	h.is(pki.Errorf(pki.Conflict, "%s", got.Outcome), pki.Conflict, "the approver "+h.who["officer"].ID)
}

// TestOtherRoleBeforeExecution: an approval holds as long as its approver has the role of
// the step, and not by the approver's or the requester's own doing, though they may decide
// as another.
func TestOtherRoleBeforeExecution(t *testing.T) {
	give := func(by string) func(*house) {
		return func(h *house) {
			h.freely(approval.GiveDecider)
			h.give("admin", "officer", access.RAOperator)
			for _, g := range h.who["officer"].Grants {
				if g.Role == access.SecurityOfficer {
					h.ok(h.Office.Take(h.ctx, h.permit("chief", access.ManageAccess), g.ID))
				}
			}
			if by != "" {
				h.give("admin", "officer", access.SecurityOfficer)
				h.edit(`UPDATE access_grant SET actor = $1 WHERE tenant = $2 AND principal = $3 AND role = $4`,
					h.who[by].ID+" (somebody)", acme, h.who["officer"].ID, access.SecurityOfficer)
			}
		}
	}
	for name, test := range map[string]struct {
		between func(*house)
		state   approval.State
		done    int
	}{
		"the role is taken":          {give(""), approval.Failed, 0},
		"it is the requester's gift": {give("pki"), approval.Failed, 0},
		"it is the approver's own":   {give("officer"), approval.Failed, 0},
		"it is given again":          {give("chief"), approval.Executed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.rule(time.Hour, approval.Step{Role: access.SecurityOfficer, N: 2})
			c := h.ask("pki", "1")
			h.approve("officer", c)
			test.between(h)
			h.approve("deputy", c)
			got := h.state(c, test.state, test.done)
			if test.state == approval.Failed {
				h.is(pki.Errorf(pki.Conflict, "%s", got.Outcome), pki.Conflict, "is no security-officer any more")
			}
		})
	}
}

// deaths are where the process ends around an act.
var deaths = map[string]func(do func() error) error{
	"before the act": func(func() error) error { panic("killed") },
	"after the act": func(do func() error) error {
		if err := do(); err != nil {
			return err
		}
		panic("killed")
	},
}

// killed has the officer approve a change by a service that dies when it does the act.
func (h *house) killed(c *approval.Change, real map[approval.Kind]approval.Executor, dies func(do func() error) error) {
	h.Helper()
	act := real[c.Kind]
	dying := h.again(map[approval.Kind]approval.Executor{c.Kind: {Permission: act.Permission,
		Do: func(ctx context.Context, g access.Permit, payload []byte) error {
			return dies(func() error { return act.Do(ctx, g, payload) })
		}}})
	defer func() {
		if recover() == nil {
			h.Error("it lives")
		}
	}()
	h.finish(dying, c, "officer")
}

// TestKilled: the process ends at some place of the execution; what comes after it
// does the act once.
func TestKilled(t *testing.T) {
	for name, dies := range deaths {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			c := h.ask("pki", "1")
			h.killed(c, h.Hierarchy.Executors(), dies)
			for range 2 {
				h.ok(h.again(h.Hierarchy.Executors()).Round(h.ctx))
				h.state(c, approval.Executed, 1)
			}
			published := 0
			for _, action := range h.actions() {
				if action == "profile.publish" {
					published++
				}
			}
			if published != 1 {
				t.Errorf("published %d times", published)
			}
		})
	}
}

// TestTwoNodesAtOnce: two that execute the same change at the same moment do it once,
// also where both have begun before either has done anything.
func TestTwoNodesAtOnce(t *testing.T) {
	h := newHouse(t)
	c := h.approved("officer")
	real := h.Hierarchy.Executors()[approval.PublishProfile]
	var both, done sync.WaitGroup
	both.Add(2)
	for range 2 {
		node := h.again(map[approval.Kind]approval.Executor{approval.PublishProfile: {Permission: real.Permission,
			Do: func(ctx context.Context, g access.Permit, payload []byte) error {
				both.Done()
				both.Wait()
				return real.Do(ctx, g, payload)
			}}})
		done.Go(func() {
			if err := node.Round(h.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	h.state(c, approval.Executed, 1)
}

// TestLastApprovalsAtOnce: of two who give the last approval at the same moment both
// may be told that it is given, and it is done once.
func TestLastApprovalsAtOnce(t *testing.T) {
	h := newHouse(t)
	for n := range 10 {
		c := h.ask("pki", fmt.Sprint(n))
		var done sync.WaitGroup
		for _, name := range []string{"officer", "deputy", "third"} {
			done.Go(func() {
				_, err := h.decide(name, c, approval.Approve)
				if err != nil && pki.KindOf(err) != pki.Conflict {
					t.Error(err)
				}
			})
		}
		done.Wait()
		got := h.state(c, approval.Executed, n+1)
		if len(got.Decisions) != 1 {
			t.Errorf("%d decisions on a change that needs one", len(got.Decisions))
		}
		h.clock.pass(time.Second)
	}
}

// TestAnySequence: whatever is done in whatever order, a change that was executed has the
// approvals that its steps asked for, of different people, none of whom asked for it;
// and there are as many versions as changes executed.
func TestAnySequence(t *testing.T) {
	h := newHouse(t)
	r := pandotest.Seeded(t)
	h.rule(time.Hour, approval.Step{Role: access.RAOperator, N: 1}, approval.Step{Role: access.SecurityOfficer, N: 2})
	h.appoint("ra2", access.RAOperator)
	people := []string{"admin", "pki", "officer", "deputy", "third", "ra", "ra2", "auditor"}
	var changes []*approval.Change
	node := h.Approvals
	for n := range 250 {
		h.clock.pass(time.Duration(r.IntN(60)) * time.Second)
		who := people[r.IntN(len(people))]
		switch act := r.IntN(10); {
		case act == 0 || len(changes) == 0:
			changes = append(changes, h.ask([]string{"admin", "pki"}[r.IntN(2)], fmt.Sprint(n)))
		case act == 1:
			_, _ = h.Approvals.Withdraw(h.ctx, h.who[who], changes[r.IntN(len(changes))].ID, "")
		case act == 2:
			node = h.again([]map[approval.Kind]approval.Executor{unable, h.Hierarchy.Executors()}[r.IntN(2)])
		case act == 3:
			h.ok(node.Round(h.ctx))
		default:
			g, err := h.who[who].Authorize(access.DecideApprovals, acme)
			if err != nil {
				continue
			}
			verdict := approval.Approve
			if r.IntN(10) == 0 {
				verdict = approval.Refuse
			}
			c := changes[max(0, len(changes)-1-r.IntN(3))]
			_, _ = node.Decide(h.ctx, g, c.ID, verdict, c.Hash, "")
		}
	}
	h.ok(h.Approvals.Round(h.ctx))
	executed := 0
	for _, c := range changes {
		got, err := h.Store.Change(h.ctx, acme, c.ID)
		h.ok(err)
		by := map[string]bool{got.Requester.ID: true}
		roles := map[int]int{}
		for _, d := range got.Decisions {
			if by[d.By.ID] {
				t.Errorf("%s decided twice, or on what it asked for", d.By)
			}
			by[d.By.ID] = true
			if d.Verdict == approval.Approve {
				roles[d.Step]++
			}
		}
		if got.State == approval.Executed {
			executed++
			if roles[0] != 1 || roles[1] != 2 {
				t.Errorf("executed with %v approvals", roles)
			}
		}
		if got.State == approval.Approved {
			t.Errorf("a change stays approved: %+v", got)
		}
	}
	versions := 0
	if v, err := h.Store.Profile(h.ctx, pki.ProfileRef{Tenant: acme, Name: "meter"}); err == nil {
		versions = v.Version
	}
	t.Logf("%d changes, %d executed", len(changes), executed)
	if versions != executed {
		t.Errorf("%d versions and %d executed changes", versions, executed)
	}
}
