package approval_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// TestLoosening: a rule is tightened by one, and loosened under itself.
func TestLoosening(t *testing.T) {
	officer := func(n int) approval.Step { return approval.Step{Role: access.SecurityOfficer, N: n} }
	ra := approval.Step{Role: access.RAOperator, N: 1}
	steps := func(s ...approval.Step) []approval.Step { return s }
	for name, test := range map[string]struct {
		before, after []approval.Step
		life          time.Duration
		waits         bool
	}{
		"the same":      {steps(officer(1)), steps(officer(1)), time.Hour, false},
		"more of them":  {steps(officer(1)), steps(officer(2)), time.Hour, false},
		"a step before": {steps(officer(1)), steps(ra, officer(1)), time.Hour, false},
		"a step after":  {steps(officer(1)), steps(officer(1), ra), time.Hour, false},
		"shorter":       {steps(officer(1)), steps(officer(1)), time.Minute, false},
		"none to some":  {nil, steps(ra), 2 * time.Hour, false},
		"fewer of them": {steps(officer(2)), steps(officer(1)), time.Hour, true},
		"another role":  {steps(officer(1)), steps(ra), time.Hour, true},
		"a step less":   {steps(ra, officer(1)), steps(officer(1)), time.Hour, true},
		"another order": {steps(ra, officer(1)), steps(officer(1), ra), time.Hour, true},
		"none":          {steps(officer(1)), nil, time.Hour, true},
		"longer":        {steps(officer(1)), steps(officer(1)), 2 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.rule(time.Hour, test.before...)
			want := approval.Rule{Kind: approval.PublishProfile, Steps: test.after, Life: test.life}
			_, err := h.Approvals.SetRule(h.ctx, h.permit("admin", access.ManageApprovals), want)
			if waits := pki.KindOf(err) == pki.Pending && err != nil; waits != test.waits || err != nil && !waits {
				t.Fatalf("waits: %v; %v", waits, err)
			}
			if !test.waits {
				return
			}
			open, err := h.Store.Changes(h.ctx, acme, approval.Pending, "", 10)
			h.ok(err)
			c, err := h.Store.Change(h.ctx, acme, open[0].ID)
			h.ok(err)
			for _, step := range c.Steps {
				for _, name := range map[access.Role][]string{access.RAOperator: {"ra"}, access.SecurityOfficer: {"officer", "deputy"}}[step.Role][:step.N] {
					h.approve(name, c)
				}
			}
			h.state(c, approval.Executed, 0)
			rules, err := h.Approvals.Rules(h.ctx, h.permit("auditor", access.ReadApprovals))
			h.ok(err)
			for _, r := range rules {
				if r.Kind == want.Kind && (len(r.Steps) != len(want.Steps) || r.Life != want.Life) {
					t.Errorf("the rule is %s", r)
				}
			}
		})
	}
}

// TestLoosenedMeanwhile: a change of a rule is of the rule as it was.
func TestLoosenedMeanwhile(t *testing.T) {
	h := newHouse(t)
	none := approval.Rule{Kind: approval.PublishProfile}
	_, err := h.Approvals.SetRule(h.ctx, h.permit("admin", access.ManageApprovals), none)
	h.is(err, pki.Pending, "must approve it until")
	open, err := h.Store.Changes(h.ctx, acme, approval.Pending, "", 10)
	h.ok(err)
	tighter := approval.Rule{Kind: approval.PublishProfile, Steps: []approval.Step{{Role: access.SecurityOfficer, N: 2}}}
	_, err = h.Approvals.SetRule(h.ctx, h.permit("admin", access.ManageApprovals), tighter)
	h.ok(err)
	h.approve("officer", open[0])
	h.state(open[0], approval.Failed, 0)
}

func TestRuleRefused(t *testing.T) {
	h := newHouse(t)
	for text, r := range map[string]approval.Rule{
		"it is one of":             {Kind: "nothing"},
		"a change waits for whole": {Kind: approval.PublishProfile, Life: time.Second},
		"a step for the role":      {Kind: approval.PublishProfile, Steps: []approval.Step{{Role: access.Auditor, N: 1}}},
		"from 1 to 10":             {Kind: approval.PublishProfile, Steps: []approval.Step{{Role: access.SecurityOfficer}}},
		"there are 5 at most":      {Kind: approval.PublishProfile, Steps: make([]approval.Step, 6)},
	} {
		_, err := h.Approvals.SetRule(h.ctx, h.permit("admin", access.ManageApprovals), r)
		h.is(err, pki.Malformed, text)
	}
	g, err := h.who["officer"].Authorize(access.ReadApprovals, acme)
	h.ok(err)
	_, err = h.Approvals.SetRule(h.ctx, g, approval.Rule{Kind: approval.PublishProfile})
	h.is(err, pki.Forbidden, "approvals.manage")
}

// TestAlarms: what waits long is told, until it waits no more.
func TestAlarms(t *testing.T) {
	h := newHouse(t)
	c := h.ask("pki", "1")
	alarms := func() int { return len(h.Alarms.Of(acme)) }
	h.ok(h.Approvals.Round(h.ctx))
	if alarms() != 0 {
		t.Error("an alarm at once")
	}
	h.clock.pass(approval.DefaultLife/2 + time.Second)
	h.ok(h.Approvals.Round(h.ctx))
	if alarms() != 1 {
		t.Error("no alarm")
	}
	h.clock.pass(approval.DefaultLife)
	h.ok(h.Approvals.Round(h.ctx))
	h.state(c, approval.Expired, 0)
	if again := h.ask("pki", "1"); again.ID == c.ID {
		t.Error("one that expired waits")
	}
}

// TestFailedAlarm: that an approved change failed is told for a day, also by a process
// that began after it.
func TestFailedAlarm(t *testing.T) {
	h := newHouse(t)
	c := h.ask("pki", "1")
	h.dismiss("pki")
	h.approve("officer", c)
	h.state(c, approval.Failed, 0)
	for _, test := range []struct {
		pass time.Duration
		want int
	}{{0, 1}, {24 * time.Hour, 1}, {time.Second, 0}} {
		h.clock.pass(test.pass)
		board := alarm.NewBoard(h.clock.now)
		fresh := approval.New(approval.Config{Store: h.Store, Principals: h.Tokens, Certificates: h.Trust, Alarms: board, Now: h.clock.now, Log: slog.New(slog.DiscardHandler)})
		h.ok(fresh.Round(h.ctx))
		alarms := board.Of(acme)
		if len(alarms) != test.want || test.want > 0 && (alarms[0].Name != "approval.failed" || !strings.HasPrefix(alarms[0].What, "1 approved changes failed")) {
			t.Errorf("after another %s: %+v", test.pass, alarms)
		}
	}
}

// TestUnknownKind: an act of a kind that no rule is about is stopped, not let pass.
func TestUnknownKind(t *testing.T) {
	h := newHouse(t)
	err := h.Approvals.Pass(h.ctx, h.permit("pki", access.ManageProfiles), approval.Request{Kind: "profile.forget", Target: "profile:meter", Payload: "x"})
	if err == nil || pki.KindOf(err) != pki.Internal {
		t.Errorf("it passes: %v", err)
	}
}

// TestRuleOfNewKeys: where a tenant has its own rules alone, a rollover and a switch need
// who a new authority needs, until there is a rule about them.
func TestRuleOfNewKeys(t *testing.T) {
	h := newHouse(t)
	_, err := h.Hierarchy.CreateTenant(h.ctx, h.Permit(t, pki.Platform, access.ManageTenants), hierarchy.NewTenant{ID: "alone", Organization: "Alone", Alone: true})
	h.ok(err)
	set := func(kind approval.Kind, n int) {
		t.Helper()
		h.SetRule(t, "alone", approval.Rule{Kind: kind, Steps: []approval.Step{{Role: access.SecurityOfficer, N: n}}, Life: approval.DefaultLife})
	}
	needs := func() map[approval.Kind]int {
		t.Helper()
		rules, err := h.Approvals.Rules(h.ctx, h.Permit(t, "alone", access.ReadApprovals))
		h.ok(err)
		found := make(map[approval.Kind]int)
		for _, r := range rules {
			for _, s := range r.Steps {
				found[r.Kind] += s.N
			}
		}
		return found
	}
	set(approval.CreateAuthority, 2)
	want := map[approval.Kind]int{approval.CreateAuthority: 2, approval.RollAuthority: 2, approval.SwitchAuthority: 2}
	if diff := cmp.Diff(want, needs()); diff != "" {
		t.Error(diff)
	}
	set(approval.SwitchAuthority, 1)
	want[approval.SwitchAuthority] = 1
	if diff := cmp.Diff(want, needs()); diff != "" {
		t.Error(diff)
	}
	set(approval.AddTrust, 1)
	want[approval.AddTrust], want[approval.UpdateTrust] = 1, 1
	if diff := cmp.Diff(want, needs()); diff != "" {
		t.Error(diff)
	}
}
