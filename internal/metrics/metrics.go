// Package metrics shows what pando counts in the format of Prometheus. The
// services count with package stat and know nothing of it; what can be asked for
// is asked when somebody looks.
//
// No label has a value that a stranger can choose, or one for each device: routes
// are the patterns of the routers, issuers are made by administrators.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/publish"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/visits"
)

// Store is what there is to know of the store.
type Store interface {
	Size(ctx context.Context) (stat.StoreSize, error)
	Transactions() *stat.Histogram
	AllIssuers(ctx context.Context) ([]*pki.Issuer, error)
	Shards(ctx context.Context, issuer pki.IssuerID) ([]revocation.ShardState, error)
	OpenWork(ctx context.Context) (stat.OpenWork, error)
	Indexings(ctx context.Context) ([]*pki.Authority, error)
	AllQuotas(ctx context.Context) ([]*quota.Quota, error)
}

// Publisher is what there is to know of publishing.
type Publisher interface {
	Stats(f func(target string, s *publish.TargetStats, waiting int))
}

// Connections are those of one listener.
type Connections struct {
	Open, Most int
	Refused    uint64
}

// Issuance is what issuance counts.
type Issuance interface {
	Stats() *issuance.Stats
	Queue() issuance.Queue
}

// Keys is what there is to know of keys that are made here for others.
type Keys interface {
	Ready() (ready map[pki.KeyKind]int, waiting int)
	Made() *stat.Histogram
}

// Validators are those of challenges of SCEP.
type Validators interface {
	Answers(f func(name string, a *stat.Answers))
}

// Config is what is shown; every field is needed.
type Config struct {
	Store      Store
	Issuance   Issuance
	Keys       Keys
	Refused    *stat.ByKind // single requests
	Visits     *visits.Book
	Signatures map[pki.KeyKind]*stat.Histogram
	Revocation *revocation.Stats
	Retention  func() retention.Stats
	Approvals  *approval.Stats
	Purged     map[string]*stat.Purges // by what
	Validators Validators
	LotReports *stat.Counter // signed
	Registry   *registry.Stats
	Indexer    *hierarchy.IndexerStats
	Audit      *auditlog.Stats
	Publisher  Publisher
	Checker    *stat.StatusChecks
	Limits     *limit.Limits
	Alarms     *alarm.Board
	Now        pki.Clock
	Log        *slog.Logger
	Version    string

	Connections func() map[string]Connections // by listener
}

// Metrics has a registry of its own.
type Metrics struct {
	cfg      Config
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

// lookFor bounds one look at the store.
const lookFor = 5 * time.Second

// New returns Metrics over what cfg names.
func New(cfg Config) *Metrics {
	m := &Metrics{
		cfg:      cfg,
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: requests.name, Help: requests.help}, requests.labels),
		took:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: took.name, Help: took.help, Buckets: stat.Seconds()}, took.labels),
	}
	m.registry.MustRegister(m.requests, m.took, collector{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(m.cfg.Log.Handler(), slog.LevelError)})
}
