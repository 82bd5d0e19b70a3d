package revocation

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

const (
	// recheck is for how long an answer is given without a look into the store:
	// so a revocation that another process recorded shows within two seconds.
	recheck = time.Second
	// maxAnswers bounds the kept answers, to some 15 MB.
	maxAnswers = 10_000
)

// answers keeps signed responses by what was asked, the recently used ones: when
// the young half is full it becomes the old half, and the old half is dropped.
type answers struct {
	half       int
	mu         sync.Mutex
	young, old map[question]*answerSlot // guarded by mu
}

// A question is one CertID, as it came, to one issuer.
type question struct {
	issuer pki.IssuerID
	certID string
}

// An answerSlot has the latest answer to a question; whoever signs a new one
// holds the gate, so that a response is signed once.
type answerSlot struct {
	gate   gate
	latest atomic.Pointer[answer]
}

// An answer is what the store said, and a response that rests on it.
type answer struct {
	status   Status
	checked  time.Time // when the store last said so
	revoked  uint64    // Service.revoked before it said so
	response *Response // nil where only requests with a nonce were answered
}

func newAnswers(size int) *answers {
	return &answers{half: size / 2, young: make(map[question]*answerSlot)}
}

// get returns the slot of a question, or nil.
func (c *answers) get(q question) *answerSlot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slot := c.young[q]; slot != nil {
		return slot
	}
	slot := c.old[q]
	if slot != nil {
		c.add(q, slot)
	}
	return slot
}

// make returns the slot of a question, a new one where there was none.
func (c *answers) make(q question) *answerSlot {
	if slot := c.get(q); slot != nil {
		return slot
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if slot := c.young[q]; slot != nil {
		return slot
	}
	slot := &answerSlot{gate: newGate()}
	c.add(q, slot)
	return slot
}

// add needs mu.
func (c *answers) add(q question, slot *answerSlot) {
	if len(c.young) >= c.half {
		c.old, c.young = c.young, make(map[question]*answerSlot, c.half)
	}
	c.young[q] = slot
}

// keptAnswer answers a request for one certificate without a nonce, with a kept
// response where the store says that it still holds. Unknown serials are not
// kept: anyone could fill the memory with them.
func (s *Service) keptAnswer(ctx context.Context, id *identity, c *tbs.CertID) (*Response, error) {
	now, revoked := s.cfg.Now(), s.revoked.Load()
	q := question{issuer: id.issuer.ID, certID: string(c.Raw)}
	if slot := s.answers.get(q); slot != nil {
		if a := slot.latest.Load(); a.fresh(now, revoked) {
			s.stats.Kept.Add(1)
			return a.response, nil
		}
	}
	status, err := s.cfg.Store.Status(ctx, id.issuer.ID, c.Serial)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if !status.Known {
		return s.signResponse(ctx, id, []tbs.CertID{*c}, []Status{status}, nil)
	}
	slot := s.answers.make(q)
	if err := slot.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer slot.gate.leave()
	// A look at the responder, which may be revoked, before an answer of it is kept on.
	if _, err := s.responders.get(ctx, id, revoked); err != nil {
		return nil, err
	}
	next := answer{status: status, checked: now, revoked: revoked}
	if a := slot.latest.Load(); a != nil && a.status.Entries >= status.Entries && a.response.holds(now) && !now.Before(a.response.ThisUpdate) {
		// Entries only grow: a higher one was read after ours.
		next.response, next.status = a.response, a.status
		s.stats.Kept.Add(1)
	} else if next.response, err = s.signResponse(ctx, id, []tbs.CertID{*c}, []Status{status}, nil); err != nil {
		return nil, err
	}
	slot.latest.Store(&next)
	return next.response, nil
}

// status returns what the store says of a certificate that a request with a nonce asks
// for, or said less than recheck ago: many ask for the same few, as all meters for their
// head-end.
func (s *Service) status(ctx context.Context, id *identity, c *tbs.CertID) (Status, error) {
	now, revoked := s.cfg.Now(), s.revoked.Load()
	q := question{issuer: id.issuer.ID, certID: string(c.Raw)}
	slot := s.answers.get(q)
	if slot != nil {
		if a := slot.latest.Load(); a.looked(now, revoked) {
			return a.status, nil
		}
	}
	status, err := s.cfg.Store.Status(ctx, id.issuer.ID, c.Serial)
	if err != nil || !status.Known {
		return status, err
	}
	if slot == nil {
		slot = s.answers.make(q)
	}
	next, before := answer{status: status, checked: now, revoked: revoked}, slot.latest.Load()
	if before != nil {
		if before.status.Entries > status.Entries { // it was read after ours
			return before.status, nil
		}
		if before.status.Entries == status.Entries {
			next.response = before.response
		}
	}
	slot.latest.CompareAndSwap(before, &next) // where another was faster, it is as good
	return status, nil
}

// fresh reports whether the answer's response may be given without a look into the
// store.
func (a *answer) fresh(now time.Time, revoked uint64) bool {
	return a.looked(now, revoked) && a.response.holds(now)
}

// looked reports whether there was a look into the store lately.
func (a *answer) looked(now time.Time, revoked uint64) bool {
	if a == nil || a.revoked != revoked {
		return false
	}
	age := now.Sub(a.checked) // negative where the clock was set back
	return age >= 0 && age < recheck
}

// holds reports whether there is a response that need not be signed anew.
func (r *Response) holds(now time.Time) bool {
	return r != nil && !r.by.revoked.Load() && now.Before(r.Renew)
}
