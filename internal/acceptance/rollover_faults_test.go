//go:build system

package acceptance

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestKillRollover kills the server within each step of rollovers, at random moments and
// under load. A step is done or not, nothing between; issuance goes on under the issuer
// that is active; what is published and the status of each issuer fit; and the store is
// sound.
func TestKillRollover(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	random := seeded(t)
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.serve(t)
	r := newRoller(t, h, random)
	l := startLoad(t, h, 200)
	kills, hindered := 0, 0
	for range rounds {
		for _, s := range r.steps() {
			kills++
			if r.killed(t, s, 40*time.Millisecond) {
				hindered++
			}
			r.consistent(t)
			if l.failed.Err() != nil {
				t.Fatal(l.wait())
			}
		}
	}
	if err := l.wait(); err != nil {
		t.Fatal(err)
	}
	l.repeat(t)
	h.stop(t)
	after := h.check(t, l.acks.path)
	if got, want := after.Issuers-before.Issuers, int64(2*rounds); got != want {
		t.Errorf("the store has %d new issuers with a certificate, want %d", got, want)
	}
	h.relint(t)
	t.Logf("%d kills, %d of which came before the step was done; %d batches of %d rows and %d single certificates by %d issuers",
		kills, hindered, l.batches, l.rows, len(l.singles), len(r.probes))
}

// TestFailingDiskRollover lets the disk under the store fail within each step of
// rollovers: nothing is acknowledged that is not stored, and the step succeeds when the
// disk is well again, on the server as it is, or after a crash.
func TestFailingDiskRollover(t *testing.T) {
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	r := newRoller(t, h, random)
	l := startLoad(t, h, 200)
	faults := []struct{ name, calls, failure, seen string }{
		{"a sync that fails", "fsync,fdatasync", "EIO", "disk I/O error"},
		{"a full disk", "pwrite64,write", "ENOSPC", "database or disk is full"},
	}
	if testing.Short() {
		one := random.IntN(len(faults))
		faults = faults[one : one+1]
	}
	for _, fault := range faults {
		hindered := 0
		for _, s := range r.steps() {
			heal := h.inject(t, fault.calls, fault.failure, h.database()...)
			// What was on its way to the disk before is answered, and then nothing.
			l.stops(t, fault.name)
			if r.try(t, s, func(ended <-chan error) error {
				var err error
				select {
				case err = <-ended:
					if err == nil {
						t.Errorf("%s: %s was acknowledged", fault.name, s.name)
					}
					heal()
				case <-time.After(30 * time.Second): // it waits for the store
					heal()
					err = <-ended
				}
				if random.IntN(2) == 0 {
					h.server.kill(t)
					h.begin(t)
				}
				h.ready(t)
				return err
			}) {
				hindered++
			}
			l.progress(t, "after "+s.name+" and "+fault.name)
			r.consistent(t)
		}
		t.Logf("%s was in the way of %d steps", fault.name, hindered)
		if hindered == 0 {
			t.Errorf("%s was in the way of no step", fault.name)
		}
		if log, err := os.ReadFile(h.log); err != nil || !strings.Contains(string(log), fault.seen) {
			t.Errorf("the server's log does not say %q (%v): did the disk fail at all?", fault.seen, err)
		}
	}
	if err := l.wait(); err != nil {
		t.Fatal(err)
	}
	l.repeat(t)
	h.stop(t)
	h.check(t, l.acks.path)
	h.relint(t)
}
