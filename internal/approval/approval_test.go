package approval_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

const acme = pki.TenantID("acme")

// house is a tenant under the default rules. The platform's operator appointed its
// administrators, and one of these the others.
type house struct {
	*testing.T
	*stack.Stack
	ctx   context.Context
	clock *clock
	ids   map[string]pki.TokenID
	who   map[string]access.Principal
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, ctx: context.Background(), clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		ids: map[string]pki.TokenID{}, who: map[string]access.Principal{}}
	h.Stack = stack.New(t, stack.Config{Stopped: true, Now: h.clock.now})
	_, err := h.Hierarchy.CreateTenant(h.ctx, h.Permit(t, pki.Platform, access.ManageTenants), hierarchy.NewTenant{ID: acme, Organization: "Acme"})
	h.ok(err)
	h.appoint("chief", access.TenantAdministrator)
	h.appoint("admin", access.TenantAdministrator)
	h.appoint("pki", access.PKIAdministrator)
	for _, name := range []string{"officer", "deputy", "third"} {
		h.appoint(name, access.SecurityOfficer)
	}
	h.appoint("ra", access.RAOperator)
	h.appoint("auditor", access.Auditor)
	return h
}

// appoint has the platform's operator make an administrator's token, or the chief
// another.
func (h *house) appoint(name string, role access.Role) {
	h.Helper()
	by := access.Principal{Tenant: pki.Platform, ID: "token:platform", Grants: access.Given(access.PlatformOperator)}
	if role != access.TenantAdministrator {
		by = h.who["chief"]
	}
	h.appointBy(by, name, role)
}

func (h *house) appointBy(by access.Principal, name string, role access.Role) {
	h.Helper()
	g, err := by.Authorize(access.ManageTokens, acme)
	h.ok(err)
	token, secret, err := h.Tokens.Create(h.ctx, g, access.NewToken{Name: name, Role: role, Life: 365 * 24 * time.Hour})
	h.ok(err)
	h.ids[name] = token.ID
	h.who[name], err = h.Tokens.Authenticate(h.ctx, secret)
	h.ok(err)
}

// give gives somebody a role, who comes again with it.
func (h *house) give(by, to string, role access.Role) {
	h.Helper()
	_, err := h.Office.Give(h.ctx, h.permit(by, access.ManageAccess), h.who[to].ID, role, access.Scope{})
	h.ok(err)
	h.who[to], err = h.Tokens.Principal(h.ctx, acme, h.who[to].ID)
	h.ok(err)
}

// freely has acts of a kind need nobody.
func (h *house) freely(kind approval.Kind) {
	h.Helper()
	h.SetRule(h, acme, approval.Rule{Kind: kind, Life: approval.DefaultLife})
}

// dismiss revokes a token.
func (h *house) dismiss(name string) {
	h.Helper()
	g, err := h.who["admin"].Authorize(access.ManageTokens, acme)
	h.ok(err)
	h.ok(h.Tokens.Revoke(h.ctx, g, h.ids[name]))
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// is holds an error against its kind and a part of its text.
func (h *house) is(err error, kind pki.Kind, text string) {
	h.Helper()
	if err == nil || pki.KindOf(err) != kind || !strings.Contains(pki.DetailOf(err), text) {
		h.Errorf("%v (%s), want %s with %q", err, pki.KindOf(err), kind, text)
	}
}

func (h *house) permit(name string, p access.Permission) access.Permit {
	h.Helper()
	g, err := h.who[name].Authorize(p, acme)
	h.ok(err)
	return g
}

// document returns a profile of which the text differs with n.
func (h *house) document(n string) []byte {
	h.Helper()
	source, err := packs.Document("meter")
	h.ok(err)
	return append(source, "# "+n+"\n"...)
}

func (h *house) publish(name, n string) error {
	h.Helper()
	_, err := h.Hierarchy.PublishProfile(h.ctx, h.permit(name, access.ManageProfiles), h.document(n))
	return err
}

// ask has somebody publish a profile, which waits.
func (h *house) ask(name, n string) *approval.Change {
	h.Helper()
	w, ok := errors.AsType[*approval.Waiting](h.publish(name, n))
	if !ok {
		h.Fatal("it does not wait")
	}
	return w.Change
}

func (h *house) decide(name string, c *approval.Change, v approval.Verdict) (*approval.Change, error) {
	h.Helper()
	g, err := h.who[name].Authorize(access.DecideApprovals, acme)
	if err != nil {
		return nil, err
	}
	return h.Approvals.Decide(h.ctx, g, c.ID, v, c.Hash, "")
}

func (h *house) approve(name string, c *approval.Change) *approval.Change {
	h.Helper()
	got, err := h.decide(name, c, approval.Approve)
	h.ok(err)
	return got
}

// state holds the state of a change, and the number of versions that it published.
func (h *house) state(c *approval.Change, want approval.State, versions int) *approval.Change {
	h.Helper()
	got, err := h.Store.Change(h.ctx, acme, c.ID)
	h.ok(err)
	if got.State != want {
		h.Errorf("the change is %s (%s), not %s", got.State, got.Outcome, want)
	}
	have := 0
	v, err := h.Store.Profile(h.ctx, pki.ProfileRef{Tenant: acme, Name: "meter"})
	if err == nil {
		have = v.Version
	} else if pki.KindOf(err) != pki.NotFound {
		h.Fatal(err)
	}
	if have != versions {
		h.Errorf("the profile has %d versions, not %d", have, versions)
	}
	return got
}

// rule sets what publishing needs, as a tenant of which nobody approves would.
func (h *house) rule(life time.Duration, steps ...approval.Step) {
	h.Helper()
	h.SetRule(h, acme, approval.Rule{Kind: approval.PublishProfile, Steps: steps, Life: life})
}

// actions returns the actions of the tenant's events, the newest first.
func (h *house) actions() []string {
	h.Helper()
	events, _, err := h.Store.Events(h.ctx, acme, hierarchy.EventFilter{}, "", 100)
	h.ok(err)
	var all []string
	for _, e := range events {
		all = append(all, e.Action)
	}
	return all
}

// again returns a service over the same store, as after a restart, which executes as
// given.
func (h *house) again(executors map[approval.Kind]approval.Executor) *approval.Service {
	s := approval.New(approval.Config{Store: h.Store, Principals: h.Tokens, Certificates: h.Trust, Alarms: alarm.NewBoard(h.clock.now), Now: h.clock.now, Log: slog.New(slog.DiscardHandler)})
	s.Serve(executors)
	return s
}

func TestDualControl(t *testing.T) {
	h := newHouse(t)
	c := h.ask("pki", "1")
	h.state(c, approval.Pending, 0)
	if again := h.ask("pki", "1"); again.ID != c.ID {
		t.Error("the same request is another change")
	}
	if other := h.ask("admin", "1"); other.ID == c.ID {
		t.Error("the request of another is the same change")
	}
	h.clock.pass(time.Second)
	got := h.approve("officer", c)
	h.state(c, approval.Executed, 1)
	if len(got.Decisions) != 1 || got.Waits() != "" || got.Finished.IsZero() {
		t.Errorf("%+v", got)
	}
	if all := h.actions(); !slices.Equal(all[:2], []string{"profile.publish", "change.approve"}) && !slices.Equal(all[:2], []string{"change.approve", "profile.publish"}) {
		t.Errorf("events %v", all)
	}
	events, _, err := h.Store.Events(h.ctx, acme, hierarchy.EventFilter{}, "", 10)
	h.ok(err)
	for _, e := range events {
		if e.Action == "profile.publish" && (!strings.HasPrefix(e.Actor, h.who["pki"].ID) || !strings.Contains(e.Detail, string(c.ID))) {
			t.Errorf("the act's event is %+v", e)
		}
	}
	// What is there already needs nobody.
	h.ok(h.publish("pki", "1"))
}

func TestSteps(t *testing.T) {
	h := newHouse(t)
	h.rule(time.Hour, approval.Step{Role: access.RAOperator, N: 1}, approval.Step{Role: access.SecurityOfficer, N: 2})
	c := h.ask("pki", "1")
	_, err := h.decide("officer", c, approval.Approve)
	h.is(err, pki.Forbidden, "step 1 of this change is for a ra-operator")
	if got := h.approve("ra", c); got.Waits() != "2 of role security-officer" {
		t.Errorf("waits for %s", got.Waits())
	}
	_, err = h.decide("ra", c, approval.Approve)
	h.is(err, pki.Conflict, "decided on this change already")
	h.approve("officer", c)
	_, err = h.decide("officer", c, approval.Approve)
	h.is(err, pki.Conflict, "decided on this change already")
	h.state(c, approval.Pending, 0)
	h.approve("deputy", c)
	h.state(c, approval.Executed, 1)
}

// TestRefusals: nothing is done, whoever tries what.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		before func(*house, *approval.Change)
		who    string
		kind   pki.Kind
		text   string
		after  approval.State
	}{
		"the requester":    {nil, "self", pki.Forbidden, "you asked for this change", approval.Pending},
		"no role":          {nil, "auditor", pki.Forbidden, "approvals.decide", approval.Pending},
		"another role":     {nil, "ra", pki.Forbidden, "is for a security-officer on tenant, which you are not", approval.Pending},
		"an administrator": {nil, "admin", pki.Forbidden, "is for a security-officer", approval.Pending},
		"another hash":     {func(_ *house, c *approval.Change) { c.Hash[0]++ }, "officer", pki.Conflict, "another hash than the one that you saw", approval.Pending},
		"made by the requester": {func(h *house, _ *approval.Change) {
			h.appointBy(h.who["self"], "own", access.SecurityOfficer)
		}, "own", pki.Forbidden, "one of the two does not approve", approval.Pending},
		"made by one whom the requester made": {func(h *house, _ *approval.Change) {
			h.appointBy(h.who["self"], "between", access.TenantAdministrator)
			h.appointBy(h.who["between"], "own", access.SecurityOfficer)
			h.dismiss("between")
		}, "own", pki.Forbidden, "one of the two does not approve", approval.Pending},
		"an officer by the requester's doing": {func(h *house, _ *approval.Change) {
			h.give("self", "ra", access.SecurityOfficer)
		}, "ra", pki.Forbidden, "by that of whoever asks", approval.Pending},
		"an officer by its own doing": {func(h *house, _ *approval.Change) {
			h.give("admin", "admin", access.SecurityOfficer)
		}, "admin", pki.Forbidden, "by your own doing", approval.Pending},
		"by a client certificate": {func(h *house, _ *approval.Change) {
			h.who["certified"] = access.Principal{Tenant: acme, ID: "trust:hq", Grants: access.Given(access.SecurityOfficer)}
		}, "certified", pki.Forbidden, "changes are decided on with an API token", approval.Pending},
		"expired":              {func(h *house, _ *approval.Change) { h.clock.pass(approval.DefaultLife) }, "officer", pki.Conflict, "expired at", approval.Pending},
		"withdrawn":            {func(h *house, c *approval.Change) { h.withdraw("self", c) }, "officer", pki.Conflict, "is withdrawn", approval.Withdrawn},
		"refused":              {func(h *house, c *approval.Change) { h.refuse("deputy", c) }, "officer", pki.Conflict, "is refused", approval.Refused},
		"altered in the store": {func(h *house, c *approval.Change) { h.alter(c) }, "officer", pki.Conflict, "was altered in the store", approval.Pending},
		"executed already":     {func(h *house, c *approval.Change) { h.approve("deputy", c) }, "officer", pki.Conflict, "is executed", approval.Executed},
		"none such":            {func(_ *house, c *approval.Change) { c.ID = "nothing" }, "officer", pki.NotFound, "no change", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.freely(approval.GiveDecider)
			h.appoint("self", access.TenantAdministrator)
			c := h.ask("self", "1")
			kept := *c
			if test.before != nil {
				test.before(h, c)
			}
			_, err := h.decide(test.who, c, approval.Approve)
			h.is(err, test.kind, test.text)
			versions := 0
			if test.after == approval.Executed {
				versions = 1
			}
			if test.after != "" {
				h.state(&kept, test.after, versions)
			}
		})
	}
}

func (h *house) withdraw(name string, c *approval.Change) {
	h.Helper()
	_, err := h.Approvals.Withdraw(h.ctx, h.who[name], c.ID, "")
	h.ok(err)
}

func (h *house) refuse(name string, c *approval.Change) {
	h.Helper()
	_, err := h.decide(name, c, approval.Refuse)
	h.ok(err)
}

// alter changes the payload of a change behind the store's back.
func (h *house) alter(c *approval.Change) {
	h.Helper()
	h.edit(`UPDATE change SET payload = CAST(replace(CAST(payload AS TEXT), '# 1', '# 2') AS BLOB) WHERE id = $1`, c.ID)
}

// edit changes the store past it.
func (h *house) edit(text string, args ...any) {
	h.Helper()
	db, err := sql.Open("sqlite", "file:"+h.Path+"?_pragma=busy_timeout(60000)") // others write, too
	h.ok(err)
	defer db.Close()
	_, err = db.ExecContext(h.ctx, text, args...)
	h.ok(err)
}
