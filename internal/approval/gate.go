package approval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A Request is an act that is about to be done.
type Request struct {
	Kind    Kind
	Target  string       // what it is about, as "profile:meter"
	Place   access.Scope // where that is; zero is the whole tenant
	Summary string       // for people, one line
	Payload any          // the exact request: what the executor decodes from JSON
	Rule    *Rule        // that holds instead of the tenant's for the kind; nil is the tenant's
	Takes   bool         // of UpdateTrust: something that was trusted is not any more

	// Check is what is still to be checked before the act is kept as a change that was
	// not there before; nil is nothing.
	Check func(ctx context.Context) error
}

// The bounds of what waits.
const (
	maxPayload  = 1 << 20
	maxProof    = 64 << 10
	maxOpen     = 10_000 // changes of a tenant
	maxOfOne    = maxOpen / 2
	maxOfDevice = 8 // of a device that asks for itself
)

// Waiting is the error, of kind pki.Pending, of an act that waits for approval.
type Waiting struct {
	Change     *Change
	RetryAfter time.Duration // when to ask again for an act that is asked for again until it is done; 0 is unsaid
}

// Error says what waits for whom.
func (w *Waiting) Error() string { return pki.DetailOf(w.Unwrap()) }

// Unwrap returns the error with its kind.
func (w *Waiting) Unwrap() error {
	c := w.Change
	if c.State == Approved {
		return w.pending("change %s is approved and is being done", c.ID)
	}
	return w.pending("%s waits for approval, as change %s: %s must approve it until %s ('pando change show %s')",
		c.Kind, c.ID, c.Waits(), c.Expires.Format(time.RFC3339), c.ID)
}

func (w *Waiting) pending(format string, args ...any) error {
	return &pki.Error{Kind: pki.Pending, Detail: fmt.Sprintf(format, args...), RetryAfter: w.RetryAfter}
}

// Pass lets an act go on, or returns a Waiting. An act passes where no rule of the
// tenant is about it, and where the permit is for an approved change of exactly
// this. Otherwise the act is kept as a change; the same act of the same requester
// is the change that waits already.
func (s *Service) Pass(ctx context.Context, g access.Permit, r Request) error {
	_, err := s.pass(ctx, g, r, false)
	return err
}

// Ask is Pass for an act that is asked for again, in the same words, until it is done.
// It returns the newest change of the same act of the same requester where that came to
// its end, which the service that does the act knows to tell; nil lets the act go on.
func (s *Service) Ask(ctx context.Context, g access.Permit, r Request) (ended *Change, err error) {
	ended, err = s.pass(ctx, g, r, true)
	if w, ok := errors.AsType[*Waiting](err); ok {
		w.RetryAfter = s.retryAfter(w.Change)
	}
	return ended, err
}

// retryAfter returns when whoever asks for an act again had better do so: the longer it
// waits the later.
func (s *Service) retryAfter(c *Change) time.Duration {
	const soonest, latest = 15 * time.Second, 10 * time.Minute
	if c.State == Approved {
		return time.Second
	}
	return min(max(s.now().Sub(c.Created)/10, soonest), latest)
}

func (s *Service) pass(ctx context.Context, g access.Permit, r Request, again bool) (ended *Change, err error) {
	payload, err := canonical(r.Payload)
	if err != nil {
		return nil, fmt.Errorf("writing down a change of kind %s: %w", r.Kind, err)
	}
	hash := HashOf(g.Tenant(), r.Kind, r.Target, Shown(payload))
	if approved := g.Change(); approved.ID != "" {
		if approved.Hash != hash {
			return nil, pki.Errorf(pki.Conflict, "what would be done now is not what was approved: something it builds on has changed since")
		}
		return nil, nil
	}
	if g.Principal().System() {
		return nil, nil
	}
	if r.Rule == nil {
		if r.Rule, err = s.ruleOf(ctx, g.Tenant(), &r); err != nil {
			return nil, err
		}
	}
	if len(r.Rule.Steps) == 0 {
		return nil, nil
	}
	if again {
		kept, err := s.cfg.Store.AskedChange(ctx, g.Tenant(), g.Principal().ID, hash)
		switch {
		case err == nil:
			return s.stands(ctx, kept)
		case pki.KindOf(err) != pki.NotFound:
			return nil, err
		}
	}
	if len(payload) > maxPayload {
		return nil, pki.Errorf(pki.Malformed, "the request has %d bytes: one that waits for approval has %d at most", len(payload), maxPayload)
	}
	now := s.now()
	c := &Change{
		ID: pki.ChangeID(pki.NewID(now)), Tenant: g.Tenant(), Kind: r.Kind, Target: r.Target, Place: r.Place, Summary: r.Summary,
		Payload: payload, Hash: hash, Requester: partyOf(g.Principal()), Created: now, Expires: now.Add(r.Rule.Life),
		State: Pending, Steps: r.Rule.Steps,
	}
	if c.Proof, err = s.lasting(ctx, g.Principal()); err != nil {
		return nil, err
	}
	if r.Check != nil {
		if err := r.Check(ctx); err != nil {
			return nil, err
		}
	}
	kept, err := s.keep(ctx, g, c, again)
	if err != nil {
		return nil, err
	}
	return s.stands(ctx, kept)
}

// keep stores a change, or returns the one that is there.
func (s *Service) keep(ctx context.Context, g access.Permit, c *Change, again bool) (*Change, error) {
	most := Most{maxOpen, maxOfOne}
	if g.Principal().Device != "" {
		most.Requester = maxOfDevice
	}
	e := s.event(c.Tenant, g.Actor(), "request", c.ID, fmt.Sprintf("%s, %s, sha256 %x: %s", c.Kind, c.Target, c.Hash, c.Summary))
	kept, err := s.cfg.Store.PutChange(ctx, c, again, most, e)
	if err == nil && !again && s.late(kept) {
		if err := s.expire(ctx, kept); err != nil {
			return nil, err
		}
		kept, err = s.cfg.Store.PutChange(ctx, c, again, most, e)
	}
	if err == nil && kept.ID == c.ID {
		s.stats.Requested.Add(1)
	}
	return kept, err
}

// late reports whether a change was not decided in its time.
func (s *Service) late(c *Change) bool { return c.State == Pending && !s.now().Before(c.Expires) }

// stands returns a change that came to its end, and a Waiting for one that is open.
func (s *Service) stands(ctx context.Context, c *Change) (ended *Change, err error) {
	if s.late(c) {
		if err := s.expire(ctx, c); err != nil {
			return nil, err
		}
		if c, err = s.cfg.Store.Change(ctx, c.Tenant, c.ID); err != nil {
			return nil, err
		}
	}
	if c.State == Pending || c.State == Approved {
		return nil, &Waiting{Change: c}
	}
	return c, nil
}

// lasting returns what proves a requester when the change is done: what it presented,
// of one whom a client certificate proves; nil of one whose token can be looked up.
func (s *Service) lasting(ctx context.Context, who access.Principal) (proof []byte, err error) {
	if len(who.Presented) == 0 {
		return nil, s.tokenHolds(ctx, who, "this needs approval, and is asked for")
	}
	proof = bytes.Join(who.Presented, nil)
	if len(proof) > maxProof {
		return nil, pki.Errorf(pki.Malformed, "the certificates that were presented have %d bytes: for what waits for approval they have %d at most; leave out what is not between the client's and the trusted one", len(proof), maxProof)
	}
	return proof, nil
}

// tokenHolds refuses whoever holds no token that holds. what is what it would do.
func (s *Service) tokenHolds(ctx context.Context, who access.Principal, what string) error {
	_, err := s.cfg.Principals.Principal(ctx, who.Tenant, who.ID)
	if pki.KindOf(err) == pki.Unauthenticated {
		return pki.Because(pki.Forbidden, err, "%s with an API token that holds, for whoever does so is checked again when it is done: %s", what, pki.DetailOf(err))
	}
	return err
}

// canonical writes a value in canonical JSON, RFC 8785.
func canonical(v any) ([]byte, error) {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(text)
	if err := value.Canonicalize(); err != nil {
		return nil, err
	}
	return value, nil
}
