package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

const selectJob = `SELECT j.num, j.id, j.tenant, j.selector, j.name, j.reason, j.dry_run, j.idempotency, j.state, j.bound, j.position, j.total,
		j.submitter, j.created, j.started, j.finished, j.booked, j.approved,
		coalesce(sum(c.good), 0), coalesce(sum(c.held), 0), coalesce(sum(c.suspended), 0), coalesce(sum(c.revoked), 0), coalesce(sum(c.expired), 0)
	FROM revocation_job j LEFT JOIN revocation_count c ON c.job = j.num `

type storedJob struct {
	num, bound, position int64
	booked               int64 // changed with nobody's approval
	by                   revocation.Selector
	name                 string
	revocation.Job
}

func scanJob(row row) (*storedJob, error) {
	j := new(storedJob)
	err := row.Scan(&j.num, &j.ID, &j.Tenant, &j.by, &j.name, &j.Reason, &j.DryRun, &j.Idempotency, &j.State, &j.bound, &j.position, &j.Total,
		&j.By, intoTime{&j.Created}, intoTime{&j.Started}, intoTime{&j.Finished}, &j.booked, &j.Approved, &j.Good, &j.Held, &j.Suspended, &j.Revoked, &j.Expired)
	if err == nil && !slices.Contains(revocation.Selectors(), j.by) {
		err = fmt.Errorf("job %s selects by %q", j.ID, j.by)
	}
	if err == nil {
		j.Selection = revocation.Select(j.by, j.name)
	}
	return j, err
}

// CreateJob implements revocation.JobStore; Conflict where the id is taken.
func (s *Store) CreateJob(ctx context.Context, j *revocation.Job, e pki.Event) (*revocation.Job, bool, error) {
	by, name, err := j.Selection.By()
	if err != nil {
		return nil, false, err
	}
	bound, err := one(ctx, s.read, scanInt, `SELECT coalesce(max(id), 0) FROM certificate`)
	if err != nil {
		return nil, false, fmt.Errorf("reading the newest certificate's number: %w", err)
	}
	sel, err := s.selection(ctx, j.Tenant, by, name)
	if pki.KindOf(err) == pki.NotFound {
		return nil, false, errNoneSelected(j)
	}
	if err != nil {
		return nil, false, err
	}
	var total int64
	if sel.window == 0 { // else only reading them all tells
		if total, err = sel.count(ctx, s.read, bound); err != nil {
			return nil, false, err
		}
		if total == 0 {
			return nil, false, errNoneSelected(j)
		}
	}
	var existing *storedJob
	err = s.update(ctx, func(t *tx) error {
		existing = nil
		if j.Idempotency != "" {
			got, err := one(ctx, t, scanJob, selectJob+`WHERE j.tenant = $1 AND j.idempotency = $2 AND j.idempotency <> '' GROUP BY j.num`, j.Tenant, j.Idempotency)
			if err == nil {
				existing = got
				return nil
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("reading a job by its idempotency key: %w", err)
			}
		}
		open, err := one(ctx, t, scanInt, `SELECT count(*) FROM revocation_job WHERE tenant = $1 AND state IN ('counting', 'counted', 'running', 'paused')`, j.Tenant)
		if err != nil {
			return fmt.Errorf("counting the open jobs: %w", err)
		}
		if open >= revocation.MaxOpenJobs {
			return pki.Errorf(pki.Conflict, "there are %d revocation jobs that are not over, and no more may be begun: wait for the end of some, or cancel those that are not needed ('pando revocation list', 'pando revocation cancel')", open)
		}
		rows, err := t.exec(`INSERT INTO revocation_job (id, tenant, selector, name, reason, dry_run, idempotency, state, bound, position, total,
				submitter, created, started, finished)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13, 0) ON CONFLICT DO NOTHING`,
			j.ID, j.Tenant, by, name, j.Reason, number(j.DryRun), j.Idempotency, j.State, bound, total, j.By, micros(j.Created), micros(j.Started))
		switch {
		case err != nil:
			return fmt.Errorf("storing job %s: %w", j.ID, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is a job %q already", j.ID)
		}
		return t.event(e)
	})
	switch {
	case err != nil:
		return nil, false, err
	case existing != nil:
		return &existing.Job, true, nil
	}
	j, err = s.Job(ctx, j.Tenant, j.ID)
	return j, false, err
}

// errNoneSelected is in the same words for what is not there and for what is
// another tenant's.
func errNoneSelected(j *revocation.Job) error {
	if j.Selection.Issuer != "" {
		return pki.Errorf(pki.NotFound, "no issuer %.60q that has signed certificates for this tenant", string(j.Selection.Issuer))
	}
	return pki.Errorf(pki.NotFound, "no certificate of %s", j.Selection)
}

// Job implements revocation.JobStore.
func (s *Store) Job(ctx context.Context, tenant pki.TenantID, id revocation.JobID) (*revocation.Job, error) {
	j, err := storedJobOf(ctx, s.read, tenant, id)
	if err != nil {
		return nil, err
	}
	return &j.Job, nil
}

func storedJobOf(ctx context.Context, from source, tenant pki.TenantID, id revocation.JobID) (*storedJob, error) {
	j, err := one(ctx, from, scanJob, selectJob+`WHERE j.tenant = $1 AND j.id = $2 GROUP BY j.num`, tenant, id)
	return found(j, err, "revocation job %q", id)
}

// Jobs implements revocation.JobStore.
func (s *Store) Jobs(ctx context.Context, tenant pki.TenantID, before revocation.JobID, limit int) ([]*revocation.Job, error) {
	return s.jobs(ctx, selectJob+`WHERE j.num IN (SELECT num FROM revocation_job WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3)
		GROUP BY j.num ORDER BY j.id DESC`, tenant, orNewest(string(before)), limit)
}

// ActiveJobs implements revocation.JobStore.
func (s *Store) ActiveJobs(ctx context.Context) ([]*revocation.Job, error) {
	return s.jobs(ctx, selectJob+`WHERE j.state IN ('counting', 'running') GROUP BY j.num ORDER BY j.num`)
}

func (s *Store) jobs(ctx context.Context, text string, args ...any) ([]*revocation.Job, error) {
	rows, err := list(ctx, s.read, scanJob, text, args...)
	if err != nil {
		return nil, fmt.Errorf("listing revocation jobs: %w", err)
	}
	all := make([]*revocation.Job, len(rows))
	for i, j := range rows {
		all[i] = &j.Job
	}
	return all, nil
}

// JobCounts implements revocation.JobStore, in the order in which the issuers were
// made.
func (s *Store) JobCounts(ctx context.Context, tenant pki.TenantID, id revocation.JobID, after revocation.ShardCounts, limit int) ([]revocation.ShardCounts, error) {
	j, err := storedJobOf(ctx, s.read, tenant, id)
	if err != nil {
		return nil, err
	}
	from, shard := int64(0), -1
	if after.Issuer != "" {
		if from, err = s.findRef(ctx, issuerRef(after.Issuer)); err != nil {
			return nil, err
		}
		shard = after.Shard
	}
	counts, err := list(ctx, s.read, func(row row) (c revocation.ShardCounts, err error) {
		return c, row.Scan(&c.Issuer, &c.Shard, &c.Good, &c.Held, &c.Suspended, &c.Revoked, &c.Expired)
	}, `SELECT r.text, c.shard, c.good, c.held, c.suspended, c.revoked, c.expired FROM revocation_count c JOIN ref r ON r.num = c.issuer
		WHERE c.job = $1 AND (c.issuer, c.shard) > ($2, $3) ORDER BY c.issuer, c.shard LIMIT $4`, j.num, from, shard, limit)
	if err != nil {
		return nil, fmt.Errorf("listing the counts of a job: %w", err)
	}
	return counts, nil
}

// MoveJob implements revocation.JobStore.
func (s *Store) MoveJob(ctx context.Context, tenant pki.TenantID, id revocation.JobID, m revocation.JobMove, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		j, err := storedJobOf(ctx, t, tenant, id)
		if err != nil {
			return err
		}
		if !slices.Contains(m.From, j.State) {
			return pki.Errorf(pki.Conflict, "the revocation job is %s", j.State)
		}
		j.Approved = 0
		anew := false
		switch {
		case m.To == revocation.Counted:
			j.Total = j.Seen()
		case m.To == revocation.Counting:
			anew, j.Approved = true, m.Approved
		case m.To == revocation.Done || m.To == revocation.Cancelled:
			j.Finished = m.At
		case m.To == revocation.Running && j.Started.IsZero(): // what was counted is a dry run's
			anew, j.Started = true, m.At
			if j.booked, err = t.book(j, m.Alone); err != nil {
				return err
			}
		}
		if anew {
			j.position = 0
			if _, err := t.exec(`DELETE FROM revocation_count WHERE job = $1`, j.num); err != nil {
				return fmt.Errorf("dropping a dry run's counts: %w", err)
			}
		}
		if _, err := t.exec(`UPDATE revocation_job SET state = $1, position = $2, total = $3, started = $4, finished = $5, booked = $6, approved = $7 WHERE num = $8`,
			m.To, j.position, j.Total, micros(j.Started), micros(j.Finished), j.booked, j.Approved, j.num); err != nil {
			return fmt.Errorf("setting the state of a job: %w", err)
		}
		return t.event(e)
	})
}

// book returns what a job counts with toward the share of its tenant, or ErrShare.
func (t *tx) book(j *storedJob, alone *revocation.Alone) (int64, error) {
	if alone == nil {
		return 0, nil
	}
	others, err := one(context.Background(), t, scanInt, `SELECT coalesce(sum(booked), 0) FROM revocation_job WHERE tenant = $1 AND started >= $2 AND booked > 0`,
		j.Tenant, micros(alone.Since))
	if err != nil {
		return 0, fmt.Errorf("adding up what jobs changed: %w", err)
	}
	n := j.Changed(j.Reason)
	if n > 0 && others+n > alone.Most {
		return 0, revocation.ErrShare
	}
	return n, nil
}
