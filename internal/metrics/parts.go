package metrics

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/publish"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/stat"
)

func (c collector) log(out sink) {
	s := c.m.cfg.Audit
	waiting := s.Waiting()
	out.gauge(logWaiting, float64(waiting.Leaves))
	out.gauge(logOldest, c.since(waiting.Oldest))
	out.gauge(logUnanchored, c.since(waiting.UnanchoredSince))
	c.age(out, logSigned, s.Signed.Value())
	for name, a := range s.Anchors {
		c.age(out, anchorTaken, a.Taken.Value(), name)
		out.counter(anchorFailures, a.Failures.Value(), name)
	}
	out.counter(logExports, s.Exports.Value(), "done")
	out.counter(logExports, s.ExportFailures.Value(), "failed")
}

// keeping shows what was done in the registry, what was closed, indexed and cleared away.
func (c collector) keeping(out sink) {
	r := c.m.cfg.Registry
	for act, n := range r.Acts {
		out.counter(deviceActs, n.Value(), string(act))
	}
	out.counter(devicesImported, r.Planned.Value(), "planned")
	out.counter(devicesImported, r.Moved.Value(), "moved")
	out.counter(devicesImported, r.Unchanged.Value(), "unchanged")
	out.counter(devicesImported, r.Refused.Value(), "refused")
	out.counter(lotReports, c.m.cfg.LotReports.Value())
	out.counter(indexed, c.m.cfg.Indexer.Certificates.Value())
	out.counter(indexFailures, c.m.cfg.Indexer.Failures.Value())
	for what, n := range c.m.cfg.Purged {
		out.counter(purged, n.Removed.Value(), what)
		out.counter(purgeFailures, n.Failures.Value(), what)
	}
}

func (c collector) validators(out sink) {
	c.m.cfg.Validators.Answers(func(name string, a *stat.Answers) {
		out.counter(validatorAnswers, a.Yes.Value(), name, "success")
		for _, kind := range []pki.Kind{pki.Unauthenticated, pki.PolicyRefused, pki.Unavailable} { // it becomes no other
			out.counter(validatorAnswers, a.No.Value(kind), name, kind.String())
		}
	})
}

func (c collector) publishing(out sink) {
	c.m.cfg.Publisher.Stats(func(target string, s *publish.TargetStats, waiting int) {
		out.counter(published, s.Lists.Value(), target)
		out.counter(publishFailures, s.Failures.Value(), target)
		out.counter(publishRefused, s.Refused.Value(), target)
		out.gauge(publishWaiting, float64(waiting), target)
		out.gauge(publishFailing, c.since(s.Failing.Value()), target)
		c.age(out, publishDone, s.Done.Value(), target)
	})
	s := c.m.cfg.Checker
	out.counter(checkRounds, s.Rounds.Value())
	out.counter(checkWrong, s.Wrong.Value())
	out.counter(checkUnreachable, s.Unreachable.Value())
	c.age(out, checkRound, s.Round.Value())
}

func (c collector) limits(out sink) {
	for _, b := range limit.Bounds() {
		out.counter(limitRefused, c.m.cfg.Limits.Refused(b), b.String())
		if taken, size, ok := c.m.cfg.Limits.Places(b); ok {
			out.gauge(placesTaken, float64(taken), b.String())
			out.gauge(places, float64(size), b.String())
		}
	}
	for name, n := range c.m.cfg.Connections() {
		out.gauge(connections, float64(n.Open), name)
		out.gauge(connectionsMost, float64(n.Most), name)
		out.counter(connectionsRefused, n.Refused, name)
	}
}

// work shows every state, so that one without any is 0.
func (c collector) work(ctx context.Context, out sink) error {
	w, err := c.m.cfg.Store.OpenWork(ctx)
	if err != nil {
		return err
	}
	for _, s := range []batch.State{batch.Uploading, batch.Checking, batch.Checked, batch.Waiting, batch.Running, batch.Paused} {
		out.gauge(batches, float64(w.Batches[string(s)]), string(s))
	}
	for _, s := range []revocation.JobState{revocation.Counting, revocation.Counted, revocation.Running, revocation.Paused} {
		out.gauge(jobs, float64(w.Jobs[string(s)]), string(s))
	}
	out.gauge(jobsSeen, float64(w.Seen))
	for _, s := range []approval.State{approval.Pending, approval.Approved} {
		out.gauge(changesOpen, float64(w.Changes[string(s)]), string(s))
	}
	return nil
}

func (c collector) indexes(ctx context.Context, out sink) error {
	all, err := c.m.cfg.Store.Indexings(ctx)
	if err != nil {
		return err
	}
	making := 0
	for _, a := range all {
		making += len(a.Indexing.Indexes)
	}
	out.gauge(indexesMaking, float64(making))
	return nil
}

func (c collector) quotas(ctx context.Context, out sink) error {
	all, err := c.m.cfg.Store.AllQuotas(ctx)
	if err != nil {
		return err
	}
	states, counting := map[string]int{"free": 0, "high": 0, "full": 0}, 0
	for _, q := range all {
		switch {
		case q.Left() == 0:
			states["full"]++
		case q.High():
			states["high"]++
		default:
			states["free"]++
		}
		if q.Counting {
			counting++
		}
	}
	for state, n := range states {
		out.gauge(quotas, float64(n), state)
	}
	out.gauge(quotasCounting, float64(counting))
	return nil
}

// since returns the seconds since a moment, 0 for never.
func (c collector) since(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, c.m.cfg.Now().Sub(t).Seconds())
}

// age shows the time since a moment, and nothing for never.
func (c collector) age(out sink, d definition, t time.Time, labels ...string) {
	if !t.IsZero() {
		out.gauge(d, c.since(t), labels...)
	}
}
