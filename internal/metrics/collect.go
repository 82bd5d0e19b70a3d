package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// A collector reads everything that is not counted by Prometheus's own types.
type collector struct{ m *Metrics }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range definitions() {
		if d.name != requests.name && d.name != took.name {
			to <- d.desc()
		}
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	out := sink{to}
	out.gauge(build, 1, c.m.cfg.Version)
	c.issuance(out)
	c.visits(out)
	c.keys(out)
	c.status(out)
	c.archives(out)
	c.changes(out)
	c.keeping(out)
	c.validators(out)
	c.log(out)
	c.publishing(out)
	c.limits(out)
	c.alarms(out)
	err := c.store(out)
	if err != nil {
		c.m.cfg.Log.Error("metrics of the store", "error", err)
	}
	out.gauge(blind, truth(err != nil))
}

func (c collector) issuance(out sink) {
	s, q := c.m.cfg.Issuance.Stats(), c.m.cfg.Issuance.Queue()
	out.counter(issued, s.Singles.Value(), "single")
	out.counter(issued, s.Rows.Value(), "batch")
	for _, kind := range pki.Kinds() {
		out.counter(refused, c.m.cfg.Refused.Value(kind), "single", kind.String())
		out.counter(refused, s.Refused.Value(kind), "batch", kind.String())
	}
	out.gauge(underWay, float64(q.Requests))
	out.gauge(waiting, float64(q.Singles), "single")
	out.gauge(waiting, float64(q.Chunks), "batch")
	out.gauge(intents, float64(q.Intents))
	out.histogram(groups, s.Groups)
	out.histogram(commits, s.Commits)
	for kind, times := range c.m.cfg.Signatures {
		out.histogram(signature, times, string(kind))
	}
}

func (c collector) visits(out sink) {
	for protocol, t := range c.m.cfg.Visits.Tallies() {
		name := cmp.Or(string(protocol), "none")
		out.counter(visited, t.Issued.Value(), name, "issued")
		for _, kind := range pki.Kinds() {
			out.counter(visited, t.Others.Value(kind), name, kind.String())
		}
	}
}

func (c collector) keys(out sink) {
	ready, waiting := c.m.cfg.Keys.Ready()
	for kind, n := range ready {
		out.gauge(keysReady, float64(n), string(kind))
	}
	out.gauge(keysWaiting, float64(waiting))
	out.histogram(keysMade, c.m.cfg.Keys.Made())
}

func (c collector) status(out sink) {
	s := c.m.cfg.Revocation
	out.counter(crlsMade, s.CRLs.Value())
	out.counter(ocspTold, s.Good.Value(), "good")
	out.counter(ocspTold, s.Revoked.Value(), "revoked")
	out.counter(ocspTold, s.Unknown.Value(), "unknown")
	out.counter(ocspKept, s.Kept.Value())
	for _, kind := range pki.Kinds() {
		out.counter(ocspRefused, s.Refused.Value(kind), kind.String())
	}
}

func (c collector) archives(out sink) {
	s := c.m.cfg.Retention()
	out.counter(archives, uint64(s.Archives))
	out.counter(archived, uint64(s.Certificates))
	out.counter(archiveFailures, uint64(s.Failures))
	out.counter(archiveRounds, uint64(s.Rounds))
	c.age(out, archiveRound, s.Round)
}

func (c collector) changes(out sink) {
	s := c.m.cfg.Approvals
	for what, n := range map[string]uint64{
		"requested": s.Requested.Value(), "approval": s.Approvals.Value(), "refusal": s.Refusals.Value(),
		"executed": s.Executed.Value(), "failed": s.Failed.Value(), "delayed": s.Delayed.Value(),
	} {
		out.counter(changes, n, what)
	}
}

func (c collector) alarms(out sink) {
	type label struct {
		name     string
		severity alarm.Severity
	}
	count := map[label]int{}
	for _, a := range c.m.cfg.Alarms.All() {
		count[label{a.Name, a.Severity}]++
	}
	for l, n := range count {
		out.gauge(alarms, float64(n), l.name, string(l.severity))
	}
}

// store reads what the store has: the age of every issuer's CRLs, too.
func (c collector) store(out sink) error {
	ctx, cancel := context.WithTimeout(context.Background(), lookFor)
	defer cancel()
	out.histogram(transactions, c.m.cfg.Store.Transactions())
	size, err := c.m.cfg.Store.Size(ctx)
	if err != nil {
		return err
	}
	out.gauge(database, float64(size.Database))
	out.gauge(wal, float64(size.Log))
	out.counter(entries, uint64(size.Revocations))
	if err := c.work(ctx, out); err != nil {
		return err
	}
	if err := c.indexes(ctx, out); err != nil {
		return err
	}
	if err := c.quotas(ctx, out); err != nil {
		return err
	}
	issuers, err := c.m.cfg.Store.AllIssuers(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range issuers {
		if err := c.crls(ctx, out, i.ID); err != nil {
			errs = append(errs, fmt.Errorf("CRLs of issuer %s: %w", i.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (c collector) crls(ctx context.Context, out sink, issuer pki.IssuerID) error {
	shards, err := c.m.cfg.Store.Shards(ctx, issuer)
	if err != nil {
		return err
	}
	now := c.m.cfg.Now()
	behind, age, left := 0, math.Inf(-1), math.Inf(1)
	for _, s := range shards {
		if s.Behind() {
			behind++
		}
		if s.Number > 0 {
			age = max(age, now.Sub(s.ThisUpdate).Seconds())
			left = min(left, s.NextUpdate.Sub(now).Seconds())
		}
	}
	out.gauge(crlLate, float64(behind), string(issuer))
	if !math.IsInf(left, 1) {
		out.gauge(crlAge, age, string(issuer))
		out.gauge(crlLeft, left, string(issuer))
	}
	return nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// A sink takes metrics of this package's definitions.
type sink struct{ to chan<- prometheus.Metric }

func (s sink) counter(d definition, value uint64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d.desc(), prometheus.CounterValue, float64(value), labels...)
}

func (s sink) gauge(d definition, value float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d.desc(), prometheus.GaugeValue, value, labels...)
}

func (s sink) histogram(d definition, h *stat.Histogram, labels ...string) {
	count, sum, upTo := h.Read()
	s.to <- prometheus.MustNewConstHistogram(d.desc(), count, sum, upTo, labels...)
}
