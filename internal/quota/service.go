package quota

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store  Store
	Alarms *alarm.Board
	Gate   Gate
	Now    pki.Clock
	Log    *slog.Logger
}

// A Gate has acts of weight wait for approval.
type Gate interface {
	Pass(ctx context.Context, g access.Permit, r approval.Request) error
}

// A Service sets, shows, counts and watches quotas. Its methods are safe for
// concurrent use.
type Service struct {
	cfg    Config
	wake   chan struct{}  // capacity 1: there is something to count
	alarms alarm.Standing // owned by Run
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, wake: make(chan struct{}, 1)}
}

const (
	// countSlice bounds one transaction: issuance waits for no longer one.
	countSlice = 2000
	// countAtOnce is how many of them Set does before it answers.
	countAtOnce = 10
)

// Set sets a quota: a new one counts what is there, at once where it is little; the
// limit of one that is there may become less than is used, and then nothing more is
// issued until it is not. It needs access.ManageQuotas.
func (s *Service) Set(ctx context.Context, g access.Permit, t Target, limit int64) (*Quota, error) {
	if err := g.Check(access.ManageQuotas); err != nil {
		return nil, err
	}
	if limit < 0 || limit > MaxLimit {
		return nil, pki.Errorf(pki.Malformed, "a limit is from 0 to %d", int64(MaxLimit))
	}
	before, err := s.quota(ctx, g.Tenant(), t)
	if err != nil && pki.KindOf(err) != pki.NotFound {
		return nil, err
	}
	raise := err == nil && limit > before.Limit
	if raise {
		if err := s.pass(ctx, g, t, before.Limit, &limit); err != nil {
			return nil, err
		}
	}
	at := s.cfg.Now().UTC()
	q, err := s.cfg.Store.SetQuota(ctx, Quota{Tenant: g.Tenant(), Target: t, Limit: limit, Actor: g.Actor(), Changed: at}, raise,
		pki.Event{Tenant: g.Tenant(), At: at, Actor: g.Actor(), Action: "quota.set", Change: g.Change().ID})
	if err != nil || !q.Counting {
		return q, err
	}
	for more, n := true, 0; more && n < countAtOnce; n++ {
		if more, err = s.cfg.Store.CountQuotas(ctx, countSlice); err != nil {
			return nil, err
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.quota(ctx, g.Tenant(), q.Target)
}

// quota returns a tenant's quota.
func (s *Service) quota(ctx context.Context, tenant pki.TenantID, t Target) (*Quota, error) {
	all, err := s.cfg.Store.Quotas(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for _, q := range all {
		if q.Target == t {
			return q, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "no quota for %s", t)
}

// Remove ends a quota. It needs access.ManageQuotas.
func (s *Service) Remove(ctx context.Context, g access.Permit, t Target) error {
	if err := g.Check(access.ManageQuotas); err != nil {
		return err
	}
	before, err := s.quota(ctx, g.Tenant(), t)
	if err != nil {
		return err
	}
	if err := s.pass(ctx, g, t, before.Limit, nil); err != nil {
		return err
	}
	return s.cfg.Store.RemoveQuota(ctx, g.Tenant(), t,
		pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "quota.remove", Target: "quota:" + t.String(), Change: g.Change().ID})
}

// raiseChange is what a change of kind approval.RaiseQuota asks for.
type raiseChange struct {
	Quota  string `json:"quota"`
	Before int64  `json:"before"`
	Limit  *int64 `json:"limit,omitempty"` // absent: it is removed
}

// pass has a raise wait for approval, or a removal, with a nil limit.
func (s *Service) pass(ctx context.Context, g access.Permit, t Target, before int64, limit *int64) error {
	after := "none"
	if limit != nil {
		after = strconv.FormatInt(*limit, 10)
	}
	return s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.RaiseQuota, Target: "quota:" + t.String(), Payload: raiseChange{t.String(), before, limit},
		Summary: fmt.Sprintf("the quota for %s: before %d, after %s", t, before, after),
	})
}

// Executors returns what does the acts of this service that were approved.
func (s *Service) Executors() map[approval.Kind]approval.Executor {
	return map[approval.Kind]approval.Executor{
		approval.RaiseQuota: approval.Execute(access.ManageQuotas, func(ctx context.Context, g access.Permit, ch raiseChange) error {
			t, err := ParseTarget(ch.Quota)
			if err != nil {
				return err
			}
			if ch.Limit == nil {
				return s.Remove(ctx, g, t)
			}
			_, err = s.Set(ctx, g, t, *ch.Limit)
			return err
		}),
	}
}

// Quotas returns the quotas of the permit's tenant, in order of kind and name. It
// needs access.ReadQuotas.
func (s *Service) Quotas(ctx context.Context, g access.Permit) ([]*Quota, error) {
	if err := g.Check(access.ReadQuotas); err != nil {
		return nil, err
	}
	return s.cfg.Store.Quotas(ctx, g.Tenant())
}
