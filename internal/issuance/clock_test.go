package issuance_test

import (
	"crypto/x509/pkix"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// hung is when something is taken never to come, however busy the machine is.
const hung = 5 * time.Minute

// movable is a stack whose clock can be set, in a real that goes on.
type movable struct {
	*stack.Stack
	offset atomic.Int64
	begun  time.Time
}

func newMovable(t *testing.T) *movable {
	m := &movable{begun: time.Now()}
	m.Stack = newStack(t, stack.Config{
		Now:     func() time.Time { return time.Now().Add(time.Duration(m.offset.Load())) },
		Elapsed: func() time.Duration { return time.Since(m.begun) },
	})
	return m
}

func (m *movable) set(d time.Duration) { m.offset.Store(int64(d)) }

// wrong reports whether the alarm stands.
func (m *movable) wrong() bool {
	for _, a := range m.Alarms.All() {
		if a.Key == (alarm.Key{Name: "clock.wrong", Target: "node:test"}) && a.Severity == alarm.Critical {
			return true
		}
	}
	return false
}

// TestClockJumps sets the clock back an hour and on by a day, and each way by chance, while
// requests come.
// While it is wrong nothing is issued; when it is right again issuance goes on by
// itself; no certificate has a wrong time.
func TestClockJumps(t *testing.T) {
	random := pandotest.Seeded(t)
	m := newMovable(t)
	var issued, refused atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r := meter(t, m.Stack, "gateway")
				r.Endpoint, r.CSR = "acme.device", pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "gateway"})
				switch _, err := m.Enroll.Enroll(t.Context(), r); {
				case err == nil:
					issued.Add(1)
				case pki.KindOf(err) == pki.Unavailable:
					refused.Add(1)
				default:
					t.Errorf("refused: %v", err)
				}
			}
		})
	}
	grows := func(n *atomic.Int64) {
		t.Helper()
		for from, deadline := n.Load(), time.Now().Add(hung); n.Load() < from+20; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("nothing goes on: %d issued, %d refused, off by %s", issued.Load(), refused.Load(), time.Duration(m.offset.Load()))
			}
		}
	}
	// Whoever looked at the clock just before it was set may say what it was afterwards, and
	// is followed by others.
	alarms := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(hung); m.wrong() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the alarm stands: %t, want %t while the clock is off by %s", !want, want, time.Duration(m.offset.Load()))
			}
		}
	}
	grows(&issued)
	chance := func() time.Duration { return 2*time.Minute + time.Duration(random.Int64N(int64(48*time.Hour))) }
	jumps := []time.Duration{-time.Hour, 24 * time.Hour, -chance(), chance()}
	random.Shuffle(len(jumps), func(i, j int) { jumps[i], jumps[j] = jumps[j], jumps[i] })
	for _, jump := range jumps {
		m.set(jump)
		grows(&refused)
		before := issued.Load()
		grows(&refused)
		if now := issued.Load(); now > before+4 { // what was decided before, of each worker one at most
			t.Errorf("%d certificates while the clock is off by %s", now-before, jump)
		}
		alarms(true)
		m.set(0)
		grows(&issued)
		alarms(false)
	}
	close(stop)
	all.Wait()

	counted := int64(0)
	for p := (registry.Paging{Limit: 1000}); ; {
		page, err := m.Registry.Certificates(t.Context(), m.Permit(t, "acme", access.ReadCertificates), registry.Query{Device: "gateway"}, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Items {
			counted++
			for what, at := range map[string]time.Time{"issued": c.Issued, "not before": c.NotBefore} {
				if at.Before(m.begun.Add(-2*time.Minute)) || at.After(time.Now().Add(time.Minute)) {
					t.Errorf("certificate %s: %s %s", c.Serial, what, at)
				}
			}
		}
		if p.Cursor = page.Next; p.Cursor == "" {
			break
		}
	}
	if counted != issued.Load() {
		t.Errorf("%d certificates in the store, %d were given out", counted, issued.Load())
	}
	m.check(t)
}

// check gives every leaf its place and sees that every invariant holds.
func (m *movable) check(t *testing.T) {
	t.Helper()
	if err := m.NewLog(t).Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := check.Run(t.Context(), check.Config{Store: m.Store, Archives: m.Archives})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Errorf("pando check: %s", f)
	}
	if r.Certificates == 0 || r.OpenIntents != 0 {
		t.Errorf("pando check: %d certificates, %d open intents", r.Certificates, r.OpenIntents)
	}
}

// TestClockAccepted: after a real jump the platform's operator, and nobody else,
// takes the clock for right; that is an event.
func TestClockAccepted(t *testing.T) {
	m := newMovable(t)
	if _, err := m.Enroll.Enroll(t.Context(), meter(t, m.Stack, "SM-1")); err != nil {
		t.Fatal(err)
	}
	g := m.Permit(t, pki.Platform, access.ManageClock)
	if _, err := m.Issuance.AcceptClock(t.Context(), g); pki.KindOf(err) != pki.Conflict {
		t.Errorf("accepting a clock that is right: %v", err)
	}
	if _, err := (access.Principal{Tenant: "acme", ID: "token:1", Grants: access.Given(access.TenantAdministrator)}).Authorize(access.ManageClock, "acme"); err == nil {
		t.Error("a tenant accepts clocks")
	}
	m.set(24 * time.Hour)
	if _, err := m.Enroll.Enroll(t.Context(), meter(t, m.Stack, "SM-2")); pki.KindOf(err) != pki.Unavailable {
		t.Fatalf("issued while the clock is wrong: %v", err)
	}
	c, err := m.Issuance.Clock(t.Context(), g)
	if err != nil || c.Problem == "" || c.Now.Sub(c.Expected).Round(time.Minute) != 24*time.Hour {
		t.Fatalf("%+v, %v", c, err)
	}
	if c, err = m.Issuance.AcceptClock(t.Context(), g); err != nil || c.Problem != "" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := m.Enroll.Enroll(t.Context(), meter(t, m.Stack, "SM-2")); err != nil {
		t.Fatal(err)
	}
	events, _, err := m.Hierarchy.Events(t.Context(), m.Permit(t, pki.Platform, access.ReadEvents), hierarchy.EventFilter{}, "", 1)
	if err != nil || len(events) != 1 || events[0].Action != "clock.accept" || events[0].Target != "node:test" {
		t.Errorf("%+v, %v", events, err)
	}
}
