// Package alarm keeps what is wrong at this moment, for an operator to see: each
// part of pando that watches something raises an alarm while it is not as it must
// be, and clears it when it is well again.
//
// It is a board of this node, held in memory: what is still wrong after a restart
// is raised anew by who watches it. It is not a log; what happened stands in the
// events and the process's log.
package alarm

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Severity says how soon somebody must act.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // something stands still, or is about to be refused by relying parties
	Warning  Severity = "warning"  // it works, and will not for ever
)

// A Key names one alarm: the same thing raised again is the same alarm.
type Key struct {
	Tenant pki.TenantID // pki.Platform where it concerns the deployment
	Name   string       // what is watched, as "crl.stale"
	Target string       // of what, as "issuer:0abc/shard 3"; "" where there is but one
}

// An Alarm is one thing that is wrong.
type Alarm struct {
	Key
	Severity Severity
	What     string    // one sentence, safe to show
	Do       string    // what the operator does about it
	Since    time.Time // first raised, set by Raise
}

// A Board holds the alarms. Its methods are safe for concurrent use.
type Board struct {
	now pki.Clock

	mu     sync.Mutex
	alarms map[Key]Alarm // guarded by mu
}

// NewBoard returns a board without alarms.
func NewBoard(now pki.Clock) *Board { return &Board{now: now, alarms: make(map[Key]Alarm)} }

// Raise puts an alarm on the board, or brings the one with its key up to date;
// Since stays as it was when it was first raised. It reports whether it is new.
func (b *Board) Raise(a Alarm) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, known := b.alarms[a.Key]
	if a.Since = before.Since; !known {
		a.Since = b.now().UTC()
	}
	b.alarms[a.Key] = a
	return !known
}

// Clear takes an alarm off the board. It reports whether it was there.
func (b *Board) Clear(k Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.alarms[k]
	delete(b.alarms, k)
	return known
}

// Of returns the alarms of a tenant, the critical ones first and the oldest of
// each severity before the others.
func (b *Board) Of(tenant pki.TenantID) []Alarm {
	return b.where(func(a Alarm) bool { return a.Tenant == tenant })
}

// All returns the alarms of all tenants and of the deployment, in the order of Of.
func (b *Board) All() []Alarm { return b.where(func(Alarm) bool { return true }) }

func (b *Board) where(wanted func(Alarm) bool) []Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []Alarm
	for _, a := range b.alarms {
		if wanted(a) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(x, y Alarm) int {
		return cmp.Or(cmp.Compare(x.Severity, y.Severity), x.Since.Compare(y.Since),
			cmp.Compare(x.Tenant, y.Tenant), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Target, y.Target))
	})
	return found
}
