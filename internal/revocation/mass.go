package revocation

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// A Gate has large jobs wait for approval.
type Gate interface {
	Pass(ctx context.Context, g access.Permit, r approval.Request) error
	// Share returns how many of 10,000 certificates in force a job may change with
	// nobody else; false where it may change all.
	Share(ctx context.Context, tenant pki.TenantID) (share int, ruled bool, err error)
}

// share is the gate's Share for a job. No rule is about a release, which takes nothing
// out of force.
func (s *Jobs) share(ctx context.Context, j *Job) (share int, ruled bool, err error) {
	if j.Reason == pki.RemoveFromCRL {
		return 0, false, nil
	}
	return s.cfg.Gate.Share(ctx, j.Tenant)
}

// window is how long a job counts toward the share of those after it: a mass revocation
// in slices is one.
const window = 24 * time.Hour

// alone returns what bounds a job that was counted and that nobody approved.
func (s *Jobs) alone(ctx context.Context, j *Job) (*Alone, error) {
	share, ruled, err := s.share(ctx, j)
	if err != nil || !ruled {
		return nil, err
	}
	now := s.cfg.Now().UTC()
	fleet, err := s.cfg.Store.InForce(ctx, j.Tenant, now)
	return &Alone{Since: now.Add(-window), Most: int64(share) * fleet / 10_000}, err
}

// grown reports whether a job would change more than others approved, by more than one
// in a hundred: what was on hold may have been released since.
func grown(j *Job) bool { return j.Changed(j.Reason) > j.Approved+j.Approved/100 }

// runChange is what a change of kind approval.RunRevocation asks for.
type runChange struct {
	Job       JobID  `json:"job"`
	Selection string `json:"selection"`
	Reason    string `json:"reason"`
	Total     int64  `json:"total"`
	Changes   int64  `json:"changes"`
}

// begin lets a job run that was counted: alone within the share, or by a change that
// was approved, which has it count once more.
func (s *Jobs) begin(ctx context.Context, g access.Permit, j *Job) (*Job, error) {
	if g.Change().ID == "" {
		alone, err := s.alone(ctx, j)
		if err != nil {
			return nil, err
		}
		got, err := s.move(ctx, g, j.ID, "start", JobMove{To: Running, From: []JobState{Counted}, Alone: alone})
		if err != ErrShare {
			return got, err
		}
	}
	n := j.Changed(j.Reason)
	err := s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.RunRevocation, Target: "revocation:" + string(j.ID), Place: access.Scope{ProductLine: j.Selection.ProductLine},
		Summary: fmt.Sprintf("%s, reason %s: %d certificates to change", j.Selection, j.Reason, n),
		Payload: runChange{j.ID, j.Selection.String(), j.Reason.String(), j.Total, n},
	})
	if err != nil {
		return nil, err
	}
	if g.Change().ID == "" { // there is no rule any more
		return s.move(ctx, g, j.ID, "start", JobMove{To: Running, From: []JobState{Counted}})
	}
	return s.move(ctx, g, j.ID, "count", JobMove{To: Counting, From: []JobState{Counted}, Approved: max(n, 1)})
}

// Executors returns what does the acts of Jobs that were approved.
func (s *Jobs) Executors() map[approval.Kind]approval.Executor {
	return map[approval.Kind]approval.Executor{
		approval.RunRevocation: approval.Execute(access.Revoke, func(ctx context.Context, g access.Permit, ch runChange) error {
			_, err := s.Begin(ctx, g, ch.Job)
			return err
		}),
	}
}
