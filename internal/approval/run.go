package approval

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// every is how often Run looks.
const every = 30 * time.Second

// The alarms.
const (
	alarmWaiting = "approval.waiting" // a change has waited for more than half of its life
	alarmStuck   = "approval.stuck"   // an approved change could not be done yet
	alarmFailed  = "approval.failed"  // an approved change was refused when it was to be done
)

// failedFor is how long the alarm for a change that failed stands: nobody can mend a
// change, so that nothing else ends it.
const failedFor = 24 * time.Hour

// Stats are what this process did.
type Stats struct {
	Requested, Approvals, Refusals stat.Counter
	Executed, Failed, Delayed      stat.Counter
}

// Decided counts a decision.
func (s *Stats) Decided(v Verdict) {
	if v == Approve {
		s.Approvals.Add(1)
	} else {
		s.Refusals.Add(1)
	}
}

// Stats returns what this process did.
func (s *Service) Stats() *Stats { return &s.stats }

// Run executes what is approved and was not done, as after a crash, ends what nobody
// decided in time, and raises alarms for what waits long, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var alarms alarm.Standing
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := s.round(ctx, &alarms); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "looking after changes", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round looks at every open change once.
func (s *Service) round(ctx context.Context, alarms *alarm.Standing) error {
	const page = 200
	late := make(map[pki.TenantID]int)
	var wrong []alarm.Alarm
	for after := (pki.ChangeID)(""); ; {
		open, err := s.cfg.Store.OpenChanges(ctx, after, page)
		if err != nil {
			return err
		}
		for _, c := range open {
			after = c.ID
			switch now := s.now(); {
			case c.State == Approved:
				if s.execute(ctx, c) {
					wrong = append(wrong, stuck(c))
				}
			case !now.Before(c.Expires):
				if err := s.expire(ctx, c); err != nil {
					return err
				}
			case now.Sub(c.Created) > c.Expires.Sub(c.Created)/2:
				late[c.Tenant]++
			}
		}
		if len(open) < page {
			break
		}
	}
	for tenant, n := range late {
		wrong = append(wrong, alarm.Alarm{Key: alarm.Key{Tenant: tenant, Name: alarmWaiting}, Severity: alarm.Warning, What: fmt.Sprintf("%d changes have waited for approval for more than half of their time", n),
			Do: "approve or refuse them: 'pando change list' says who must"})
	}
	failed, err := s.cfg.Store.FailedChanges(ctx, s.now().Add(-failedFor))
	if err != nil {
		return err
	}
	for tenant, n := range failed {
		wrong = append(wrong, alarm.Alarm{Key: alarm.Key{Tenant: tenant, Name: alarmFailed}, Severity: alarm.Warning, What: fmt.Sprintf("%d approved changes failed within a day: what was approved is not done", n),
			Do: "'pando change list --state failed' and 'pando change show' say why; ask for them again"})
	}
	alarms.Replace(s.cfg.Alarms, wrong)
	return nil
}

// stuck returns the alarm for a change that was tried and put off.
func stuck(c *Change) alarm.Alarm {
	k := alarm.Key{Tenant: c.Tenant, Name: alarmStuck, Target: "change:" + string(c.ID)}
	return alarm.Alarm{Key: k, Severity: alarm.Critical, What: fmt.Sprintf("the change %s (%s, %s) is approved and could not be done yet", c.ID, c.Kind, c.Target),
		Do: "the server's log says why; it is tried again until it expires"}
}

// expire ends a change that nobody decided in time.
func (s *Service) expire(ctx context.Context, c *Change) error {
	e := s.event(c.Tenant, executor, "expire", c.ID, fmt.Sprintf("%s, %s", c.Kind, c.Target))
	err := s.cfg.Store.EndChange(ctx, c.Tenant, c.ID, Pending, Expired, "", e.At, e)
	if pki.KindOf(err) == pki.Conflict {
		return nil // it came to another end meanwhile
	}
	return err
}
