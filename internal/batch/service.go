// Package batch runs manufacturing jobs over enroll: upload, dry run, issue,
// pause, resume, cancel, results.
//
// A batch is kept as chunks of up to ChunkRows rows. A chunk is issued
// whole, under one intent that claims it, so that a batch killed at any moment
// goes on where it was and no row gets two certificates.
package batch

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// An RA decides on rows and has them issued; enroll.Service is one.
type RA interface {
	OpenBatch(ctx context.Context, g access.Permit, endpoint, pair string) (*enroll.Lane, error)
	OpenPinned(ctx context.Context, g access.Permit, at, pair enroll.Pinned, submitter string, scopes []access.Scope) (*enroll.Lane, error)
	// WantApproval reports whether an endpoint of a tenant, or the other one of a batch of
	// pairs, "" for none, wants approval besides its profile.
	WantApproval(ctx context.Context, tenant pki.TenantID, endpoint, pair string) (bool, error)
	Complete(ctx context.Context, g access.Permit, p pki.Placement) (pki.Placement, error)
	CheckSubject(ctx context.Context, g access.Permit, permission access.Permission, where access.Scope, r enroll.Subject) (pki.Placement, error)
	IssueChunk(ctx context.Context, lane *enroll.Lane, c enroll.Chunk) error
	CheckChunk(ctx context.Context, lane *enroll.Lane, c enroll.Chunk, seen *enroll.Seen) ([]issuance.Refusal, error)
}

// Config is what a Service is made of; every field but Family is needed.
type Config struct {
	Store  Store
	RA     RA
	Gate   Gate
	Spool  *Spool // for zip archives
	Family pki.FamilyOf
	Now    pki.Clock
	Log    *slog.Logger
}

// A Service runs batches. Its methods are safe for concurrent use.
type Service struct {
	cfg  Config
	wake chan struct{} // capacity 1: there may be work for Run

	mu        sync.Mutex
	uploading map[pki.BatchID]bool // uploads that this process reads
	working   map[pki.BatchID]bool // batches that this process works on

	turns *batchTurns

	round purgeRound // PurgeRows's own
}

// New returns a Service. Run must be running for batches to go on.
func New(cfg Config) *Service {
	return &Service{
		cfg: cfg, wake: make(chan struct{}, 1),
		uploading: make(map[pki.BatchID]bool), working: make(map[pki.BatchID]bool), turns: newTurns(cfg.Family),
	}
}

// Batch returns a batch of the permit's tenant. It needs access.ReadBatches.
func (s *Service) Batch(ctx context.Context, g access.Permit, id pki.BatchID) (*Batch, error) {
	return s.visible(ctx, g, access.ReadBatches, id)
}

// visible returns a batch of the permit's tenant that is within it.
func (s *Service) visible(ctx context.Context, g access.Permit, permission access.Permission, id pki.BatchID) (*Batch, error) {
	b, err := s.see(ctx, g, permission, id, s.cfg.Store.Batch)
	if err != nil {
		return nil, err
	}
	return s.told(ctx, b)
}

// head is visible without what the store makes up on reading.
func (s *Service) head(ctx context.Context, g access.Permit, permission access.Permission, id pki.BatchID) (*Batch, error) {
	return s.see(ctx, g, permission, id, s.cfg.Store.BatchHead)
}

func (s *Service) see(ctx context.Context, g access.Permit, permission access.Permission, id pki.BatchID,
	read func(context.Context, pki.TenantID, pki.BatchID) (*Batch, error)) (*Batch, error) {
	if err := g.CheckSome(permission); err != nil {
		return nil, err
	}
	b, err := read(ctx, g.Tenant(), id)
	if err != nil {
		return nil, err
	}
	return b, s.within(ctx, g, permission, b)
}

// within reports whether a batch is within a permit, with all its rows, at both endpoints
// of a batch of pairs.
func (s *Service) within(ctx context.Context, g access.Permit, permission access.Permission, b *Batch) error {
	if g.Whole() {
		return g.Check(permission)
	}
	where, err := s.where(ctx, b)
	if err != nil {
		return err
	}
	for _, place := range where {
		place.ProductLine, place.Site = b.Every.ProductLine, b.Every.Site
		if err := g.CheckAt(permission, place); err != nil {
			return err
		}
	}
	return nil
}

// where returns where a batch is, but for its rows: at an endpoint, or at the two of a
// batch of pairs.
func (s *Service) where(ctx context.Context, b *Batch) ([]access.Scope, error) {
	authority, err := s.cfg.Store.AuthorityName(ctx, b.Tenant, b.Authority)
	where := []access.Scope{{Authority: authority, Endpoint: b.Endpoint}}
	if b.PairEndpoint != "" {
		where = append(where, access.Scope{Authority: authority, Endpoint: b.PairEndpoint})
	}
	return where, err
}

// Batches returns up to limit batches of the permit's tenant, newest first, with
// ids below before ("" from the newest). It needs access.ReadBatches.
func (s *Service) Batches(ctx context.Context, g access.Permit, before pki.BatchID, limit int) ([]*Batch, error) {
	if err := g.CheckSome(access.ReadBatches); err != nil {
		return nil, err
	}
	if limit < 1 || limit > registry.MaxPage {
		return nil, pki.Errorf(pki.Malformed, "limit %d: from 1 to %d", limit, registry.MaxPage)
	}
	var seen []*Batch
	for {
		all, err := s.cfg.Store.Batches(ctx, g.Tenant(), before, limit)
		if err != nil {
			return nil, err
		}
		for _, b := range all {
			err := s.within(ctx, g, access.ReadBatches, b)
			if err != nil && pki.KindOf(err) != pki.Forbidden {
				return nil, err
			}
			if err == nil {
				seen = append(seen, b)
			}
			if before = b.ID; len(seen) == limit {
				return seen, nil
			}
		}
		if len(all) < limit { // a page that the scope thins out is not the last
			return seen, nil
		}
	}
}

// Issue starts a batch whose dry run is through, or has it wait where its profile wants
// approval. Its rows are held against what its submitter might enrol, so whoever issues it
// has all of that, or may enrol wherever a row may belong.
func (s *Service) Issue(ctx context.Context, g access.Permit, id pki.BatchID) (*Batch, error) {
	b, err := s.visible(ctx, g, access.ManageBatches, id)
	if err != nil || b.State != Checked {
		if err == nil && b.State != Running && b.State != Waiting {
			err = pki.Errorf(pki.Conflict, "the batch is %s", b.State)
		}
		return b, err
	}
	if err := s.mayOrder(ctx, g, b); err != nil {
		return nil, err
	}
	to, err := s.begin(ctx, g, b)
	if err != nil {
		return nil, err
	}
	verb := "issue"
	if to == Waiting {
		verb = "wait"
	}
	return s.move(ctx, g, id, verb, to, Checked)
}

// mayOrder is Forbidden to issue the rows of somebody who might enrol more.
func (s *Service) mayOrder(ctx context.Context, g access.Permit, b *Batch) error {
	where, err := s.where(ctx, b)
	if err != nil || g.CheckAll(access.ManageBatches, where) == nil {
		return err
	}
	return hasAll(g, b, where)
}

// hasAll reports whether a permit has all that a batch's submitter had where the batch is:
// a scope that has nothing there, as another endpoint, gave its rows nothing.
func hasAll(g access.Permit, b *Batch, where []access.Scope) error {
	return g.CheckAll(access.ManageBatches, slices.DeleteFunc(slices.Clone(b.Scopes), func(had access.Scope) bool {
		return !slices.ContainsFunc(where, had.Meets)
	}))
}

// Pause stops a batch after the chunks that are in flight.
func (s *Service) Pause(ctx context.Context, g access.Permit, id pki.BatchID) (*Batch, error) {
	return s.move(ctx, g, id, "pause", Paused, Running)
}

// Resume lets a paused batch go on.
func (s *Service) Resume(ctx context.Context, g access.Permit, id pki.BatchID) (*Batch, error) {
	return s.move(ctx, g, id, "resume", Running, Paused)
}

// Cancel ends a batch: rows that have no end yet get none.
func (s *Service) Cancel(ctx context.Context, g access.Permit, id pki.BatchID) (*Batch, error) {
	b, err := s.move(ctx, g, id, "cancel", Cancelled, Uploading, Checking, Checked, Waiting, Running, Paused)
	if err == nil && b.Change != "" && b.Started.IsZero() {
		err = s.cfg.Gate.Drop(ctx, g, b.Change, "the batch was cancelled")
	}
	return b, err
}

// move changes a batch's state by order of the permit's principal, who needs
// access.ManageBatches. A batch that is in the state already is returned as it is.
func (s *Service) move(ctx context.Context, g access.Permit, id pki.BatchID, verb string, to State, from ...State) (*Batch, error) {
	b, err := s.visible(ctx, g, access.ManageBatches, id)
	if err != nil || b.State == to {
		return b, err
	}
	if err := s.cfg.Store.SetState(ctx, g.Tenant(), id, from, to, s.cfg.Now().UTC(), s.event(g, verb, id, "")); err != nil {
		return nil, err
	}
	s.awaken()
	return s.visible(ctx, g, access.ManageBatches, id)
}

func (s *Service) event(g access.Permit, verb string, id pki.BatchID, detail string) pki.Event {
	return pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "batch." + verb, Target: "batch:" + string(id), Detail: detail}
}

func (s *Service) awaken() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// hold marks a batch in one of the Service's sets and returns whether it was
// free; let takes the mark away.
func (s *Service) hold(set map[pki.BatchID]bool, id pki.BatchID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set[id] {
		return false
	}
	set[id] = true
	return true
}

func (s *Service) let(set map[pki.BatchID]bool, id pki.BatchID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(set, id)
}
