package revocation

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/turns"
)

const (
	// step is how many certificates a job takes at a time: the store's one writer
	// is held for some tens of milliseconds, and single requests have their turn
	// between two steps.
	step = 2_000
	// lookEvery is how often Run looks for jobs that another process was given.
	lookEvery = 500 * time.Millisecond
	// retryPause is the pause after a step that failed, doubled each time up to
	// maxBackoff.
	retryPause = time.Second
)

// jobTurns say which job goes on next, and remember how often it failed.
type jobTurns = turns.Turns[*Job, JobID, int]

func newJobTurns(family pki.FamilyOf) *jobTurns {
	return turns.New[*Job, JobID, int](family, func(j *Job) (pki.TenantID, JobID) { return j.Tenant, j.ID })
}

// Run works on jobs until ctx ends: a step of each family in turn, of its tenants
// in turn and of their jobs in turn, so that a small one does not wait for a large one,
// nor a family for the many of another. Several processes may run at once.
func (s *Jobs) Run(ctx context.Context) error {
	order := newJobTurns(s.cfg.Family)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		busy, err := s.round(ctx, order)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "look for revocation jobs", "error", err)
		}
		if busy {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-tick.C:
		}
	}
	return nil
}

// round takes a step of one job of each family, of those that did not fail a moment
// ago, and returns whether there was one.
func (s *Jobs) round(ctx context.Context, order *jobTurns) (busy bool, err error) {
	jobs, err := s.cfg.Store.ActiveJobs(ctx)
	if err != nil {
		return false, err
	}
	had := make(map[pki.TenantID]bool)
	for _, j := range order.Order(jobs) {
		if ctx.Err() != nil {
			return false, nil
		}
		family := s.cfg.Family.Of(j.Tenant)
		if had[family] {
			continue
		}
		had[family] = true
		order.Begin(j)
		failures := order.Memory(j.ID)
		log := s.cfg.Log.With("job", j.ID, "tenant", j.Tenant, "selection", j.Selection.String(), "state", j.State)
		switch err := s.advance(ctx, j); {
		case err == nil:
			*failures = 0
		case pki.KindOf(err) == pki.Conflict:
			log.InfoContext(ctx, "revocation job was stopped, or another process is at it", "why", err)
			order.Rest(j.ID, lookEvery)
		case ctx.Err() == nil:
			log.ErrorContext(ctx, "revocation job", "error", err)
			order.Rest(j.ID, turns.Backoff(retryPause, *failures, maxBackoff))
			*failures++
		}
	}
	return len(had) > 0, nil
}

// advance takes a step of a job, and ends it after the last.
func (s *Jobs) advance(ctx context.Context, j *Job) error {
	last, err := s.cfg.Store.AdvanceJob(ctx, j.Tenant, j.ID, s.cfg.Now().UTC().Truncate(time.Second), step)
	if j.State == Running {
		s.cfg.VA.Changed() // also after an error: the outcome may be unknown
	}
	if err != nil || !last {
		return err
	}
	g, err := access.System(j.Tenant, "revocation").Authorize(access.Revoke, j.Tenant)
	if err != nil {
		return err
	}
	end, err := s.cfg.Store.Job(ctx, j.Tenant, j.ID)
	if err != nil {
		return err
	}
	m, verb, detail := JobMove{From: []JobState{j.State}, To: Done, At: s.cfg.Now().UTC()}, "done", findings(end)
	if j.State == Counting {
		switch m.To, verb = Counted, "counted"; {
		case end.Approved > 0 && grown(end):
			detail += fmt.Sprintf(", where %d were approved: it has grown since, and waits for the order to run", end.Approved)
		case end.Approved > 0 || !j.DryRun:
			m.To, verb = Running, "start"
		}
		if m.To == Running && end.Approved == 0 {
			if m.Alone, err = s.alone(ctx, end); err != nil {
				return err
			}
		}
	}
	err = s.cfg.Store.MoveJob(ctx, j.Tenant, j.ID, m, s.event(g, verb, end, detail))
	if err == ErrShare {
		m.To, m.Alone = Counted, nil
		err = s.cfg.Store.MoveJob(ctx, j.Tenant, j.ID, m, s.event(g, "counted", end, detail))
	}
	if err != nil {
		return fmt.Errorf("end of the job: %w", err)
	}
	return nil
}
