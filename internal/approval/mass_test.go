package approval_test

import (
	"crypto/x509/pkix"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// newFleet is a newPKI with ten certificates in force: one in lot "one", two in "two",
// three in "three"; a job may change a fifth with nobody else.
func newFleet(t *testing.T) *house {
	t.Helper()
	h := newPKI(t)
	n := 0
	for lot, count := range map[string]int{"one": 1, "two": 2, "three": 3, "rest": 4} {
		for range count {
			n++
			_, err := h.Enroll.Enroll(h.ctx, enroll.Request{Grant: h.Permit(t, acme, access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
				Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-" + string(rune('A'+n))}), Placement: pki.Placement{Lot: lot}}})
			h.ok(err)
		}
	}
	for {
		counted, err := h.Store.CountExpiry(h.ctx, 100)
		h.ok(err)
		if counted == 0 {
			break
		}
	}
	h.share(2000)
	return h
}

// share sets the share, as a tenant of which nobody approves would.
func (h *house) share(share int) {
	h.Helper()
	h.SetRule(h, acme, approval.Rule{Kind: approval.RunRevocation, Steps: []approval.Step{{Role: access.SecurityOfficer, N: 1}}, Life: time.Hour, Share: share})
}

// start starts a job and follows it until it rests.
func (h *house) start(n revocation.NewJob) *revocation.Job {
	h.Helper()
	j, _, err := h.RevocationJobs.Create(h.ctx, h.permit("admin", access.Revoke), n)
	h.ok(err)
	return h.rests(j.ID)
}

func (h *house) rests(id revocation.JobID) (last *revocation.Job) {
	h.Helper()
	for j, err := range h.RevocationJobs.Watch(h.ctx, h.permit("admin", access.ReadCertificates), id) {
		h.ok(err)
		last = j
	}
	return last
}

// begin gives the order to run, which must wait.
func (h *house) begin(id revocation.JobID) *approval.Change {
	h.Helper()
	_, err := h.RevocationJobs.Begin(h.ctx, h.permit("admin", access.Revoke), id)
	w, ok := errors.AsType[*approval.Waiting](err)
	if !ok || w.Change.Kind != approval.RunRevocation {
		h.Fatalf("it does not wait: %v", err)
	}
	return w.Change
}

// TestShare: a job that changes no more than the share runs by itself, also one that
// was to be counted only, by order; one that changes more waits, unless it releases.
func TestShare(t *testing.T) {
	for _, test := range []struct {
		lot    string
		dry    bool
		reason pki.Reason
		want   revocation.JobState
		waits  bool
	}{
		{lot: "one", want: revocation.Done},
		{lot: "two", want: revocation.Done}, // exactly the share
		{lot: "three", want: revocation.Counted, waits: true},
		{lot: "three", reason: pki.CertificateHold, want: revocation.Counted, waits: true},
		{lot: "three", reason: pki.RemoveFromCRL, want: revocation.Done},
		{lot: "two", dry: true, want: revocation.Counted},
		{lot: "three", dry: true, want: revocation.Counted, waits: true},
	} {
		t.Run(test.lot, func(t *testing.T) {
			h := newFleet(t)
			if test.reason == pki.RemoveFromCRL {
				h.share(10_000)
				h.start(revocation.NewJob{Selection: revocation.Selection{Lot: test.lot}, Reason: pki.CertificateHold})
				h.share(0)
			}
			j := h.start(revocation.NewJob{Selection: revocation.Selection{Lot: test.lot}, Reason: test.reason, DryRun: test.dry})
			if j.State != test.want {
				t.Fatalf("%+v is %s, not %s", test, j.State, test.want)
			}
			if test.want == revocation.Done {
				return
			}
			if test.waits {
				h.begin(j.ID)
				if now := h.rests(j.ID); now.State != revocation.Counted {
					t.Errorf("it is %s before it is approved", now.State)
				}
				return
			}
			_, err := h.RevocationJobs.Begin(h.ctx, h.permit("admin", access.Revoke), j.ID)
			h.ok(err)
			if now := h.rests(j.ID); now.State != revocation.Done {
				t.Errorf("it is %s", now.State)
			}
		})
	}
}

// TestMassRevocation: a large job runs once, when another has approved it, also where
// the process ends at some place of that; a share that grew meanwhile changes nothing.
func TestMassRevocation(t *testing.T) {
	tests := maps.Clone(deaths)
	tests["alive"] = nil
	for name, dies := range tests {
		t.Run(name, func(t *testing.T) {
			h := newFleet(t)
			j := h.start(revocation.NewJob{Selection: revocation.Selection{Lot: "three"}, Reason: pki.Superseded})
			c := h.begin(j.ID)
			if again := h.begin(j.ID); again.ID != c.ID {
				t.Error("the same order is another change")
			}
			h.share(10_000)
			h.clock.pass(time.Second)
			real := h.RevocationJobs.Executors()
			if dies == nil {
				h.approve("officer", c)
			} else {
				h.killed(c, real, dies)
				for range 2 {
					h.ok(h.again(real).Round(h.ctx))
				}
			}
			if got, err := h.Store.Change(h.ctx, acme, c.ID); err != nil || got.State != approval.Executed || got.Outcome != "" {
				t.Errorf("the change is %+v, %v", got, err)
			}
			if now := h.rests(j.ID); now.State != revocation.Done || now.Good != 3 {
				t.Errorf("the job is %s, with %d certificates", now.State, now.Good)
			}
			events, _, err := h.Store.Events(h.ctx, acme, hierarchy.EventFilter{Action: "revocation.start"}, "", 100)
			h.ok(err)
			if len(events) != 1 {
				t.Errorf("%d starts", len(events))
			}
		})
	}
}

// TestMassInSlices: jobs of one day count together toward the share; a job that others
// approved is not among them.
func TestMassInSlices(t *testing.T) {
	h := newFleet(t)
	lot := func(name string) *revocation.Job {
		return h.start(revocation.NewJob{Selection: revocation.Selection{Lot: name}, Reason: pki.Superseded})
	}
	if j := lot("three"); j.State != revocation.Counted {
		t.Fatalf("three of ten: %s", j.State)
	} else {
		h.clock.pass(time.Second)
		h.approve("officer", h.begin(j.ID))
		if now := h.rests(j.ID); now.State != revocation.Done {
			t.Fatalf("the approved one is %s", now.State)
		}
	}
	if j := lot("one"); j.State != revocation.Done {
		t.Errorf("one of ten after three that were approved: %s", j.State)
	}
	two := lot("two")
	if two.State != revocation.Counted {
		t.Errorf("two more of ten on the same day: %s", two.State)
	}
	h.begin(two.ID)
	h.clock.pass(25 * time.Hour)
	_, err := h.RevocationJobs.Begin(h.ctx, h.permit("admin", access.Revoke), two.ID)
	h.ok(err)
	if now := h.rests(two.ID); now.State != revocation.Done {
		t.Errorf("on the next day: %s", now.State)
	}
}

// TestMassHasGrown: an approved job that would change more than was approved does not
// run, and waits for another approval.
func TestMassHasGrown(t *testing.T) {
	h := newFleet(t)
	h.share(10_000)
	h.start(revocation.NewJob{Selection: revocation.Selection{Lot: "two"}, Reason: pki.CertificateHold})
	h.share(2000)
	h.clock.pass(25 * time.Hour)
	root, err := h.Hierarchy.Authorities(h.ctx, h.permit("admin", access.ReadConfiguration))
	h.ok(err)
	var issuer pki.IssuerID
	for _, a := range root {
		if a.Kind == pki.Issuing {
			issuer = a.Issuers[0].ID
		}
	}
	j := h.start(revocation.NewJob{Selection: revocation.Selection{Issuer: issuer}, Reason: pki.CertificateHold})
	if j.State != revocation.Counted || j.Good != 8 || j.Held != 2 {
		t.Fatalf("%+v", j)
	}
	c := h.begin(j.ID)
	h.share(10_000)
	h.start(revocation.NewJob{Selection: revocation.Selection{Lot: "two"}, Reason: pki.RemoveFromCRL})
	h.share(2000)
	h.clock.pass(time.Second)
	h.approve("officer", c)
	now := h.rests(j.ID)
	if now.State != revocation.Counted || now.Good != 10 {
		t.Fatalf("after it had grown it is %s with %d to change", now.State, now.Good)
	}
	events, _, err := h.Store.Events(h.ctx, acme, hierarchy.EventFilter{Action: "revocation.counted"}, "", 1)
	h.ok(err)
	if !strings.Contains(events[0].Detail, "where 8 were approved: it has grown since") {
		t.Errorf("its event says %q", events[0].Detail)
	}
	again := h.begin(j.ID)
	if again.ID == c.ID {
		t.Error("the change of before")
	}
	h.clock.pass(time.Second)
	h.approve("officer", again)
	if now := h.rests(j.ID); now.State != revocation.Done {
		t.Errorf("it is %s", now.State)
	}
}

// TestMassCancelled: a job that was cancelled while it waited is not run, and its change
// fails.
func TestMassCancelled(t *testing.T) {
	h := newFleet(t)
	j := h.start(revocation.NewJob{Selection: revocation.Selection{Lot: "three"}, Reason: pki.Superseded})
	c := h.begin(j.ID)
	_, err := h.RevocationJobs.Cancel(h.ctx, h.permit("admin", access.Revoke), j.ID)
	h.ok(err)
	h.clock.pass(time.Second)
	if got := h.approve("officer", c); got.State != approval.Failed {
		t.Errorf("the change is %s", got.State)
	}
	if now := h.rests(j.ID); now.State != revocation.Cancelled {
		t.Errorf("the job is %s", now.State)
	}
}

// TestShareOfRule: a greater share loosens a rule, a smaller does not, and no other kind
// has one.
func TestShareOfRule(t *testing.T) {
	h := newHouse(t)
	g := h.permit("admin", access.ManageApprovals)
	rule := ruleFor(approval.RunRevocation)
	rule.Share = approval.DefaultShare - 1
	_, err := h.Approvals.SetRule(h.ctx, g, rule)
	h.ok(err)
	for share, want := range map[int]pki.Kind{approval.DefaultShare: pki.Pending, -1: pki.Malformed, 10_001: pki.Malformed} {
		rule.Share = share
		_, err := h.Approvals.SetRule(h.ctx, g, rule)
		h.is(err, want, "")
	}
	rule.Kind, rule.Share = approval.PublishProfile, 1
	_, err = h.Approvals.SetRule(h.ctx, g, rule)
	h.is(err, pki.Malformed, "has no share")
	share, ruled, err := h.Approvals.Share(h.ctx, acme)
	h.ok(err)
	if share != approval.DefaultShare-1 || !ruled {
		t.Errorf("share %d, %t", share, ruled)
	}
}

// ruleFor returns the default rule for a kind.
func ruleFor(kind approval.Kind) approval.Rule {
	all := approval.Defaults()
	return all[slices.IndexFunc(all, func(r approval.Rule) bool { return r.Kind == kind })]
}
