package quota

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
)

const lookEvery = 10 * time.Second

// Run counts what is to be counted and raises alarms for quotas that are nearly used
// up, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := s.Count(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "counting for quotas", "error", err)
		}
		if err := s.Look(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "looking at quotas", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-tick.C:
		}
	}
}

// Count counts until there is nothing more to look at now.
func (s *Service) Count(ctx context.Context) error {
	for ctx.Err() == nil {
		if more, err := s.cfg.Store.CountQuotas(ctx, countSlice); err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}

// Look raises an alarm for each quota that is nearly used up, and clears those that
// it raised before and that do not stand any more. It is not called twice at once.
func (s *Service) Look(ctx context.Context) error {
	all, err := s.cfg.Store.AllQuotas(ctx)
	if err != nil {
		return err
	}
	var wrong []alarm.Alarm
	for _, q := range all {
		if !q.High() {
			continue
		}
		a := alarm.Alarm{Key: alarm.Key{Tenant: q.Tenant, Name: "quota.used", Target: q.Target.String()}, Severity: alarm.Warning,
			What: fmt.Sprintf("%d of the %d certificates of the quota for %s are used.", q.Used, q.Limit, q.Target),
			Do:   "Raise it with 'pando quota set', or decommission devices that are gone: what goes beyond it is refused."}
		if q.Kind == Loan {
			a.Do = "Ask the tenant that lent it for more: what goes beyond it is refused."
		}
		if q.Left() == 0 {
			a.Severity = alarm.Critical
		}
		wrong = append(wrong, a)
	}
	s.alarms.Replace(s.cfg.Alarms, wrong)
	return nil
}
