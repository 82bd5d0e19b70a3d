package auditlog

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// watch says by the gate and by alarms whether the logs keep up. What holds up one log
// alone stops its tenant; what may hold up all of them stops everybody.
func (s *Service) watch(ctx context.Context) error {
	now := s.cfg.Now() // before the look: a clock that is moved on meanwhile makes no entry old
	backlog, err := s.cfg.Store.Backlog(ctx)
	if err != nil {
		return err // the gate closes by itself
	}
	var whole Backlog // of every log
	var all Backlog   // of the logs that nothing of their own holds up
	own := make(map[pki.TenantID]audit.Stop)
	var wrong []alarm.Alarm // of single logs
	for _, b := range backlog {
		whole.Leaves += b.Leaves
		whole.Oldest = earliest(whole.Oldest, b.Oldest)
		whole.UnanchoredSince = earliest(whole.UnanchoredSince, b.UnanchoredSince)
		stop, found := s.watchOne(&b, now)
		wrong = append(wrong, found...)
		if stop != (audit.Stop{}) {
			own[b.Tenant] = stop
		}
		if !b.Damaged && !b.NoLog {
			all.Leaves += b.Leaves
			all.Oldest = earliest(all.Oldest, b.Oldest)
		}
		if !b.Unsigned {
			all.UnanchoredSince = earliest(all.UnanchoredSince, b.UnanchoredSince)
		}
	}
	wrong = append(s.tears(ctx), wrong...) // a log that gets no place has the last word
	for _, a := range s.own.Replace(s.cfg.Alarms, wrong) {
		s.tell(ctx, a)
	}
	s.stats.waiting.Store(&whole)
	s.cfg.Gate.Set(s.watchAll(ctx, &all, now), own, vouched)
	return nil
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func behind(b *Backlog, now time.Time) bool {
	return b.Leaves > maxLeaves || b.Leaves > 0 && now.Sub(b.Oldest) > maxAge
}

func (s *Service) unanchored(b *Backlog, now time.Time) bool {
	return !b.UnanchoredSince.IsZero() && now.Sub(b.UnanchoredSince) > s.cfg.Bound
}

func errBehind() error {
	return &pki.Error{Kind: pki.Unavailable, RetryAfter: 5 * time.Second,
		Detail: "the audit log has fallen behind, and without it nothing is done: send the request again later"}
}

// watchAll returns what stops everybody.
func (s *Service) watchAll(ctx context.Context, b *Backlog, now time.Time) (stop audit.Stop) {
	backlog := alarm.Key{Name: "log.backlog"}
	if behind(b, now) {
		stop.Acts = errBehind()
		s.raise(ctx, alarm.Alarm{Key: backlog, Severity: alarm.Critical,
			What: fmt.Sprintf("%d entries have waited for up to %s for their place in the audit log: nothing is issued or changed until they have it", b.Leaves, now.Sub(b.Oldest).Round(time.Second)),
			Do:   "Look into the server's log for why sequencing fails: a disk that is full, for instance. It goes on by itself once that is mended."})
	} else {
		s.cfg.Alarms.Clear(backlog)
	}
	none := alarm.Key{Name: "anchor.late"}
	if s.unanchored(b, now) {
		stop.Issuance = &pki.Error{Kind: pki.Unavailable, RetryAfter: 30 * time.Second,
			Detail: "no anchor has taken a checkpoint of the audit log for too long, and nothing is issued until one does: send the request again later"}
		s.raise(ctx, alarm.Alarm{Key: none, Severity: alarm.Critical,
			What: fmt.Sprintf("no anchor has taken a checkpoint of the audit log for %s: nothing is issued until one does", now.Sub(b.UnanchoredSince).Round(time.Second)),
			Do:   "See that one of the places under audit.anchors in pando.yaml can be written to. Issuance goes on by itself once one takes a checkpoint."})
	} else {
		s.cfg.Alarms.Clear(none)
	}
	return stop
}

// whatOfDamage is what to do about a log that is damaged.
const whatOfDamage = "The server's log says why, and 'pando check' where the log or the rows that it stands for were changed. Find out who or what did that before you put a backup back; it goes on by itself once it is mended. Other tenants go on meanwhile."

func damagedKey(tenant pki.TenantID) alarm.Key {
	target := "log of " + string(tenant)
	if tenant == pki.Platform {
		target = "log of the platform"
	}
	return alarm.Key{Tenant: tenant, Name: "log.damaged", Target: target}
}

// watchOne returns what of a log's own stops its tenant, and the alarms for it.
func (s *Service) watchOne(b *Backlog, now time.Time) (stop audit.Stop, wrong []alarm.Alarm) {
	raise := func(name, what, do string) {
		key := damagedKey(b.Tenant)
		key.Name = name
		wrong = append(wrong, alarm.Alarm{Key: key, Severity: alarm.Critical, What: what, Do: do})
	}
	if b.Damaged {
		raise("log.damaged", "the audit log is damaged, and its entries get no place", whatOfDamage)
	}
	if (b.Damaged || b.NoLog) && behind(b, now) {
		stop.Acts = errBehind()
		raise("log.backlog", fmt.Sprintf("%d entries have waited for up to %s for their place in this audit log: nothing of the tenant is issued or changed until they have it", b.Leaves, now.Sub(b.Oldest).Round(time.Second)), whatOfDamage)
	}
	if b.Unsigned && s.unanchored(b, now) {
		stop.Issuance = &pki.Error{Kind: pki.Unavailable, RetryAfter: 30 * time.Second,
			Detail: "no checkpoint of the tenant's audit log could be signed for too long, and nothing is issued until one is: send the request again later"}
		raise("log.unsigned", fmt.Sprintf("no checkpoint of this audit log could be signed for %s: nothing of the tenant is issued until one is", now.Sub(b.UnanchoredSince).Round(time.Second)),
			"The server's log says why the key of the log does not sign. Issuance goes on by itself once it does.")
	}
	return stop, wrong
}
