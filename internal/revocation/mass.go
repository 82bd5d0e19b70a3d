package revocation

import (
	"context"
	"fmt"

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

// mass reports whether a job that was counted changes a greater share of the
// certificates in force than its tenant lets one alone change.
func (s *Jobs) mass(ctx context.Context, j *Job) (bool, error) {
	share, ruled, err := s.share(ctx, j)
	if err != nil || !ruled {
		return false, err
	}
	fleet, err := s.cfg.Store.InForce(ctx, j.Tenant, s.cfg.Now().UTC())
	return j.Changed(j.Reason)*10_000 > int64(share)*fleet, err
}

// runChange is what a change of kind approval.RunRevocation asks for.
type runChange struct {
	Job       JobID  `json:"job"`
	Selection string `json:"selection"`
	Reason    string `json:"reason"`
	Total     int64  `json:"total"`
	Changes   int64  `json:"changes"`
}

// pass has a job that was counted wait for approval where it is large. What is done by
// a change is held against it, whatever the share is by now.
func (s *Jobs) pass(ctx context.Context, g access.Permit, j *Job) error {
	if j.State != Counted {
		return nil
	}
	if g.Change().ID == "" {
		if mass, err := s.mass(ctx, j); err != nil || !mass {
			return err
		}
	}
	n := j.Changed(j.Reason)
	return s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.RunRevocation, Target: "revocation:" + string(j.ID), Place: access.Scope{ProductLine: j.Selection.ProductLine},
		Summary: fmt.Sprintf("%s, reason %s: %d certificates to change", j.Selection, j.Reason, n),
		Payload: runChange{j.ID, j.Selection.String(), j.Reason.String(), j.Total, n},
	})
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
