package audit

import (
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
	acts, issuance error // nil: open
	until          time.Time
}

// NewGate returns a gate that is closed until Set opens it.
func NewGate() *Gate { return new(Gate) }

// Set says, for the given time from now, what stops all acts and what stops
// issuance alone; nil for nothing. The errors are shown to whoever asked.
func (g *Gate) Set(acts, issuance error, validity time.Duration) {
	g.state.Store(&gateState{acts, issuance, time.Now().Add(validity)})
}

// Act returns why no act may be stored, or nil.
func (g *Gate) Act() error {
	if g == nil {
		return nil
	}
	s := g.state.Load()
	if s == nil || time.Now().After(s.until) {
		return &pki.Error{Kind: pki.Unavailable, Detail: "nobody watches the audit log at present, and without it nothing is done: send the request again", RetryAfter: 5 * time.Second}
	}
	return s.acts
}

// Issue returns why nothing may be issued, or nil.
func (g *Gate) Issue() error {
	if err := g.Act(); err != nil || g == nil {
		return err
	}
	return g.state.Load().issuance
}
