package enroll

import (
	"context"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

// ruleOf returns what an endpoint wants approved, as a rule; nil is nothing.
func ruleOf(a *pki.Approvals) *approval.Rule {
	if a == nil || len(a.Steps) == 0 {
		return nil
	}
	rule := approval.Rule{Kind: approval.Enroll, Life: a.Life}
	for _, s := range a.Steps {
		rule.Steps = append(rule.Steps, approval.Step{Role: access.Role(s.Role), N: s.N})
	}
	return &rule
}

// WantApproval reports whether an endpoint of a tenant, or the other one of a pair, "" for
// none, wants approval besides its profile at this moment.
func (s *Service) WantApproval(ctx context.Context, tenant pki.TenantID, endpoint, pair string) (bool, error) {
	for _, name := range []string{endpoint, pair} {
		if name == "" {
			continue
		}
		ep, err := s.cfg.Store.Endpoint(ctx, tenant, name)
		if err != nil || ep.Approvals != nil {
			return err == nil, err
		}
	}
	return false, nil
}

func sameApprovals(a, b *pki.Approvals) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.Steps, b.Steps) && a.Life == b.Life
}

// applyApprovals sets the approvals of an endpoint, where a says some or none, and refuses
// those that do not go with its profile: one that was bound since, too.
func (s *Service) applyApprovals(ctx context.Context, ep *pki.Endpoint, a *pki.Approvals, profile *policy.Profile) error {
	if a != nil {
		if err := s.setApprovals(ctx, ep, a); err != nil {
			return err
		}
	}
	rule := ruleOf(ep.Approvals)
	if rule == nil {
		return nil
	}
	if made, _ := profile.ServerKeys(); made {
		return pki.Errorf(pki.PolicyRefused, "approvals: the profile %s has keys made here, which are kept nowhere, also not until an enrolment is approved", profile.Name())
	}
	if n := len(profile.Approvals().Then(rule).Steps); n > approval.MaxSteps {
		return pki.Errorf(pki.PolicyRefused, "approvals: those of the profile %s and of the endpoint are %d steps: there are %d at most", profile.Name(), n, approval.MaxSteps)
	}
	return nil
}

func (s *Service) setApprovals(ctx context.Context, ep *pki.Endpoint, a *pki.Approvals) error {
	ep.Approvals = nil
	if len(a.Steps) == 0 {
		return nil
	}
	set := *a
	if set.Life == 0 {
		set.Life = approval.DefaultLife
	}
	if set.Life < approval.MinLife || set.Life > approval.MaxLife || set.Life%time.Second != 0 {
		return pki.Errorf(pki.Malformed, "approvals: an enrolment waits for whole seconds, from %s to %d days", approval.MinLife, approval.MaxLife/(24*time.Hour))
	}
	if err := s.cfg.Gate.CheckSteps(ctx, ep.Tenant, ruleOf(&set).Steps); err != nil {
		return pki.Because(pki.KindOf(err), err, "approvals: %s", pki.DetailOf(err))
	}
	ep.Approvals = &set
	return nil
}

// approvalsText is the approvals of an endpoint in a change.
type approvalsText struct {
	Steps       []pki.ApprovalStep `json:"steps"`
	LifeSeconds int64              `json:"life_seconds"`
}

func textOf(a *pki.Approvals) *approvalsText {
	if a == nil {
		return nil
	}
	return &approvalsText{a.Steps, int64(a.Life / time.Second)}
}

// read is the reverse of textOf; it says none, where there are none.
func (t *approvalsText) read() *pki.Approvals {
	if t == nil {
		return new(pki.Approvals)
	}
	return &pki.Approvals{Steps: t.Steps, Life: time.Duration(t.LifeSeconds) * time.Second}
}
