package audit

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Gate says whether acts may be stored: no log, no issuance. Whoever watches the
// log sets it, again and again: what was said holds for a while only, so that a
// log that nobody watches stops everything too. A nil Gate is open. Its methods
// are safe for concurrent use and cost next to nothing.
type Gate struct{ state atomic.Pointer[gateState] }

type gateState struct {
	all   Stop
	own   map[pki.TenantID]Stop
	until time.Time
}

// A Stop is what stops all acts and what stops issuance alone; nil for nothing. The
// errors are shown to whoever asked.
type Stop struct{ Acts, Issuance error }

// NewGate returns a gate that is closed until Set opens it.
func NewGate() *Gate { return new(Gate) }

// Set says, for the given time from now, what stops everybody, and what stops some
// tenants besides.
func (g *Gate) Set(all Stop, own map[pki.TenantID]Stop, validity time.Duration) {
	g.state.Store(&gateState{all, own, time.Now().Add(validity)})
}

// Act returns why no act may be stored in a tenant's log, or nil.
func (g *Gate) Act(tenant pki.TenantID) error {
	if g == nil {
		return nil
	}
	s := g.state.Load()
	if s == nil || time.Now().After(s.until) {
		return &pki.Error{Kind: pki.Unavailable, Detail: "nobody watches the audit log at present, and without it nothing is done: send the request again", RetryAfter: 5 * time.Second}
	}
	return cmp.Or(s.all.Acts, s.own[tenant].Acts)
}

// Issue returns why nothing may be issued that goes into a tenant's log, or nil.
func (g *Gate) Issue(tenant pki.TenantID) error {
	if err := g.Act(tenant); err != nil || g == nil {
		return err
	}
	s := g.state.Load()
	return cmp.Or(s.all.Issuance, s.own[tenant].Issuance)
}
