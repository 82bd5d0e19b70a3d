package approval

import (
	"context"
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
}

// The bounds of what waits.
const (
	maxPayload = 1 << 20
	maxOpen    = 10_000 // changes of a tenant
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
		return pki.Errorf(pki.Pending, "change %s is approved and is being done", c.ID)
	}
	return pki.Errorf(pki.Pending, "%s waits for approval, as change %s: %s must approve it until %s ('pando change show %s')",
		c.Kind, c.ID, c.Waits(), c.Expires.Format(time.RFC3339), c.ID)
}

// Pass lets an act go on, or returns a Waiting. An act passes where no rule of the
// tenant is about it, and where the permit is for an approved change of exactly
// this. Otherwise the act is kept as a change; the same act of the same requester
// is the change that waits already.
func (s *Service) Pass(ctx context.Context, g access.Permit, r Request) error {
	payload, err := canonical(r.Payload)
	if err != nil {
		return fmt.Errorf("writing down a change of kind %s: %w", r.Kind, err)
	}
	hash := HashOf(g.Tenant(), r.Kind, r.Target, payload)
	if approved := g.Change(); approved.ID != "" {
		if approved.Hash != hash {
			return pki.Errorf(pki.Conflict, "what would be done now is not what was approved: something it builds on has changed since")
		}
		return nil
	}
	if g.Principal().System() {
		return nil
	}
	if r.Rule == nil {
		rule, err := s.rule(ctx, g.Tenant(), r.Kind)
		if err != nil {
			return err
		}
		r.Rule = &rule
	}
	if len(r.Rule.Steps) == 0 {
		return nil
	}
	if err := s.lasting(ctx, g.Principal(), "this needs approval, and is asked for"); err != nil {
		return err
	}
	if len(payload) > maxPayload {
		return pki.Errorf(pki.Malformed, "the request has %d bytes: one that waits for approval has %d at most", len(payload), maxPayload)
	}
	now := s.now()
	c := &Change{
		ID: pki.ChangeID(pki.NewID(now)), Tenant: g.Tenant(), Kind: r.Kind, Target: r.Target, Place: r.Place, Summary: r.Summary,
		Payload: payload, Hash: hash, Requester: partyOf(g.Principal()), Created: now, Expires: now.Add(r.Rule.Life),
		State: Pending, Steps: r.Rule.Steps,
	}
	e := s.event(c.Tenant, g.Actor(), "request", c.ID, fmt.Sprintf("%s, %s, sha256 %x: %s", c.Kind, c.Target, c.Hash, c.Summary))
	kept, err := s.cfg.Store.PutChange(ctx, c, maxOpen, e)
	if err != nil {
		return err
	}
	if kept.State == Pending && !now.Before(kept.Expires) {
		if err := s.expire(ctx, kept); err != nil {
			return err
		}
		if kept, err = s.cfg.Store.PutChange(ctx, c, maxOpen, e); err != nil {
			return err
		}
	}
	if kept.ID == c.ID {
		s.stats.Requested.Add(1)
	}
	return &Waiting{Change: kept}
}

// lasting refuses whoever cannot be looked up when the change is done, as one whom a
// client certificate proves. what is what it would do.
func (s *Service) lasting(ctx context.Context, who access.Principal, what string) error {
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
