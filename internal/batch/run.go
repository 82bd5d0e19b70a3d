package batch

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

const (
	lookEvery   = 500 * time.Millisecond // for batches that another node was given
	inFlight    = 16                     // chunks of one batch: some prepared, some signed, some stored
	readAhead   = 4                      // chunks that are read together
	maxWorking  = 4                      // batches at once
	turn        = 16                     // chunks of a batch before another that waits goes on
	retryPause  = time.Second            // after a chunk that could not be issued, doubled each time up to maxPause
	maxPause    = time.Minute            // each attempt voids serials, which stay in CRLs until they would have expired
	abandonment = 24 * time.Hour         // after which an upload that nobody finished is cancelled
)

// Run works on batches until ctx ends; chunks in flight are finished then. Where
// there are more batches than workers they take turns, fairly by family and within one by tenant.
func (s *Service) Run(ctx context.Context) error {
	var workers errgroup.Group
	workers.SetLimit(maxWorking)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		active, err := s.cfg.Store.Active(ctx, Running, Checking)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("look for batches", "error", err)
		}
		waiting := 0
		for _, b := range s.turns.Order(active) {
			if !s.hold(s.working, b.ID) {
				continue
			}
			started := workers.TryGo(func() error {
				defer s.awaken()
				defer s.let(s.working, b.ID)
				s.work(ctx, b)
				return nil
			})
			if !started {
				s.let(s.working, b.ID)
				waiting++
				continue
			}
			s.turns.Begin(b)
		}
		s.turns.waiting.Store(int64(waiting))
		s.cancelAbandoned(ctx)
		s.cancelDenied(ctx)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-tick.C:
		}
	}
	return workers.Wait()
}

// work takes a batch as far as it goes, or to the end of its turn.
func (s *Service) work(ctx context.Context, b *Batch) {
	log := s.cfg.Log.With("batch", b.ID, "tenant", b.Tenant, "endpoint", b.Endpoint)
	log.Debug("batch goes on", "state", b.State, "rows", b.Rows)
	act := s.issue
	if b.State == Checking {
		act = s.check
	}
	err := act(ctx, b)
	switch {
	case ctx.Err() != nil:
	case pki.KindOf(err) == pki.Conflict:
		log.Info("batch was stopped or is another node's", "why", err)
	case err != nil:
		log.Error("batch", "error", err)
		s.rest(ctx, b, err)
	}
}

// rest decides what becomes of a batch after an error: where its authority or
// its endpoint does not issue any more it is paused, for somebody to look;
// otherwise it is tried again after a pause.
func (s *Service) rest(ctx context.Context, b *Batch, cause error) {
	switch pki.KindOf(cause) {
	case pki.NotReady, pki.NotFound, pki.PolicyRefused:
		g, err := s.grant(b)
		if err == nil {
			err = s.cfg.Store.SetState(ctx, b.Tenant, b.ID, []State{Running}, Paused, s.cfg.Now().UTC(),
				s.event(g, "pause", b.ID, pki.DetailOf(cause)))
		}
		if err == nil {
			return
		}
	}
	s.turns.rest(b.ID)
}

// grant is the system's own, for work on a batch that a principal submitted.
func (s *Service) grant(b *Batch) (access.Permit, error) {
	return access.System(b.Tenant, "batch").Authorize(access.ManageBatches, b.Tenant)
}

func (s *Service) lane(ctx context.Context, b *Batch) (*enroll.Lane, error) {
	g, err := s.grant(b)
	if err != nil {
		return nil, err
	}
	return s.cfg.RA.OpenPinned(ctx, g, enroll.Pinned{Endpoint: b.Endpoint, Profile: b.Profile},
		enroll.Pinned{Endpoint: b.PairEndpoint, Profile: b.PairProfile}, b.By, b.Scopes)
}

// issue issues the pending chunks of a running batch, several at a time, and
// ends it after the last. It returns early where others wait for their turn.
func (s *Service) issue(ctx context.Context, b *Batch) error {
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	from, begun := 0, 0
	for running.Err() == nil {
		lane, err := s.lane(ctx, b) // each time: the authority may have been retired
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		chunks, err := s.cfg.Store.PendingChunks(ctx, b.Tenant, b.ID, from, readAhead)
		if err != nil || len(chunks) == 0 {
			if err = errors.Join(err, g.Wait()); err != nil {
				return err
			}
			return s.end(ctx, b)
		}
		if begun >= turn && s.turns.othersWait() {
			break
		}
		begun += len(chunks)
		for _, c := range chunks {
			from = c.No + 1
			rows, err := decodeRows(c.Rows, c.First, c.Count)
			if err != nil {
				return errors.Join(err, g.Wait())
			}
			g.Go(func() error {
				if running.Err() != nil {
					return nil
				}
				err := s.cfg.RA.IssueChunk(ctx, lane, enroll.Chunk{Batch: b.ID, No: c.No, Rows: rows})
				s.turns.note(b.ID, err)
				return err
			})
		}
	}
	return g.Wait()
}

// end ends a batch without pending chunks. One whose chunks are still claimed,
// by another node or by one that died, is not ready: it is looked at again.
func (s *Service) end(ctx context.Context, b *Batch) error {
	g, err := s.grant(b)
	if err != nil {
		return err
	}
	err = s.cfg.Store.SetState(ctx, b.Tenant, b.ID, []State{Running}, Done, s.cfg.Now().UTC(), s.event(g, "done", b.ID, ""))
	if pki.KindOf(err) == pki.NotReady {
		return pki.Because(pki.Unavailable, err, "chunks of the batch are still being issued")
	}
	return err
}

// check makes the dry run: it looks at each chunk and stores what would be
// refused. What it has seen is kept from one turn to the next; a process that
// starts again begins from the first chunk.
func (s *Service) check(ctx context.Context, b *Batch) error {
	p := &s.turns.Memory(b.ID).dryRun
	for begun := 0; ctx.Err() == nil && (begun < turn || !s.turns.othersWait()); begun++ {
		lane, err := s.lane(ctx, b)
		if err != nil {
			return err
		}
		chunks, err := s.cfg.Store.PendingChunks(ctx, b.Tenant, b.ID, p.from, 1)
		if err != nil {
			return err
		}
		if len(chunks) == 0 {
			g, err := s.grant(b)
			if err != nil {
				return err
			}
			return s.cfg.Store.SetState(ctx, b.Tenant, b.ID, []State{Checking}, Checked, s.cfg.Now().UTC(), s.event(g, "checked", b.ID, ""))
		}
		c := chunks[0]
		rows, err := decodeRows(c.Rows, c.First, c.Count)
		if err != nil {
			return err
		}
		refusals, err := s.cfg.RA.CheckChunk(ctx, lane, enroll.Chunk{Batch: b.ID, No: c.No, Rows: rows}, &p.seen)
		if err != nil {
			return err
		}
		if err := s.cfg.Store.PutCheck(ctx, b.Tenant, b.ID, c.No, refusals); err != nil {
			return err
		}
		p.from = c.No + 1
	}
	return ctx.Err()
}

// cancelAbandoned cancels uploads that nobody finished.
func (s *Service) cancelAbandoned(ctx context.Context) {
	uploads, err := s.cfg.Store.Active(ctx, Uploading)
	if err != nil {
		return // Run has logged that the store does not answer
	}
	now := s.cfg.Now().UTC()
	for _, b := range uploads {
		if now.Sub(b.Created) < abandonment || !s.hold(s.uploading, b.ID) {
			continue
		}
		g, err := s.grant(b)
		if err == nil {
			err = s.cfg.Store.SetState(ctx, b.Tenant, b.ID, []State{Uploading}, Cancelled, now, s.event(g, "cancel", b.ID, "the upload was abandoned"))
		}
		s.let(s.uploading, b.ID)
		if err != nil {
			s.cfg.Log.Error("cancel an abandoned upload", "batch", b.ID, "error", err)
		}
	}
}
