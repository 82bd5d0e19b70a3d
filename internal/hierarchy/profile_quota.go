package hierarchy

import (
	"context"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/quota"
)

// quotaOf returns the quota that the publication of a document sets, nil where it
// changes none. A raise is refused: quota.Service has it wait for approval, and what
// approves a document is another rule.
func (s *Service) quotaOf(ctx context.Context, g access.Permit, p *policy.Profile) (*quota.Quota, error) {
	q := &quota.Quota{
		Tenant: g.Tenant(), Target: quota.Target{Kind: quota.Profile, Name: p.Name()}, Limit: p.Quota(),
		Actor: g.Actor(), Changed: s.cfg.Now().UTC(),
	}
	if q.Limit == 0 {
		return nil, nil
	}
	all, err := s.cfg.Store.Quotas(ctx, q.Tenant)
	if err != nil {
		return nil, err
	}
	for _, is := range all {
		switch {
		case is.Target != q.Target:
		case is.Limit == q.Limit:
			return nil, nil
		case is.Limit < q.Limit:
			return nil, pki.Errorf(pki.Conflict, "the quota for %s is %d, and a document does not raise it to %d: raise it with 'pando quota set' first, or write that number", q.Target, is.Limit, q.Limit)
		}
	}
	sets, err := g.Principal().Authorize(access.ManageQuotas, q.Tenant)
	if err != nil {
		return nil, err
	}
	return q, sets.Check(access.ManageQuotas)
}
