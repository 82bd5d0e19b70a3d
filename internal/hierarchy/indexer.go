package hierarchy

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/turns"
)

const (
	// indexAtOnce is how many certificates an Indexer looks at in one transaction: the
	// store's one writer is held for some ten milliseconds.
	indexAtOnce = 500
	// indexBreath is the writer's time for others after each of them.
	indexBreath = 20 * time.Millisecond
	// lookForIndexes is how often an Indexer looks for something to do.
	lookForIndexes = time.Second
	// indexPause is the pause after a failure, doubled each time up to maxIndexPause.
	indexPause, maxIndexPause = time.Second, time.Minute
)

// IndexerConfig is what an Indexer is made of; every field is needed.
type IndexerConfig struct {
	Store  Store
	Family pki.FamilyOf
	Alarms *alarm.Board
	Now    pki.Clock
	Log    *slog.Logger
}

// IndexerStats is what an Indexer did. It is safe for concurrent use.
type IndexerStats struct {
	Certificates stat.Counter // that were looked at, those of other authorities with them
	Failures     stat.Counter // steps that failed
}

// An Indexer makes the indexes that authorities get later.
type Indexer struct {
	cfg   IndexerConfig
	stats IndexerStats
}

// NewIndexer returns an Indexer.
func NewIndexer(cfg IndexerConfig) *Indexer { return &Indexer{cfg: cfg} }

// Stats returns what the Indexer did.
func (x *Indexer) Stats() *IndexerStats { return &x.stats }

// Run makes indexes until ctx ends: a step of each family's in turn. What was made stays
// made; the next start goes on.
func (x *Indexer) Run(ctx context.Context) error {
	order := turns.New[*pki.Authority, pki.AuthorityID, int](x.cfg.Family, func(a *pki.Authority) (pki.TenantID, pki.AuthorityID) { return a.Tenant, a.ID })
	for {
		busy, err := x.round(ctx, order)
		if err != nil && ctx.Err() == nil {
			x.cfg.Log.ErrorContext(ctx, "look for indexes to be made", "error", err)
		}
		pause := lookForIndexes
		if busy {
			pause = indexBreath
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// round takes the authority whose turn it is a step further, and returns whether there
// was one.
func (x *Indexer) round(ctx context.Context, order *turns.Turns[*pki.Authority, pki.AuthorityID, int]) (busy bool, err error) {
	all, err := x.cfg.Store.Indexings(ctx)
	if err != nil {
		return false, err
	}
	ready := order.Order(all)
	if len(ready) == 0 {
		return false, nil
	}
	a := ready[0]
	order.Begin(a)
	failures := order.Memory(a.ID)
	key := alarm.Key{Tenant: a.Tenant, Name: "index.failing", Target: "authority:" + a.Name}
	g, err := access.System(a.Tenant, "indexer").Authorize(access.ManageAuthorities, a.Tenant)
	if err != nil {
		return false, err
	}
	seen, done, err := x.cfg.Store.AdvanceIndexing(ctx, a.Tenant, a.ID, indexAtOnce, pki.Event{
		Tenant: a.Tenant, At: x.cfg.Now().UTC(), Actor: g.Actor(), Action: "authority.indexed",
		Target: "authority:" + string(a.ID), Detail: fmt.Sprintf("%s: %v", a.Name, a.Indexing.Indexes),
	})
	switch {
	case err == nil:
		*failures = 0
		x.stats.Certificates.Add(seen)
		x.cfg.Alarms.Clear(key)
		if done {
			x.cfg.Log.InfoContext(ctx, "indexes are made", "tenant", a.Tenant, "authority", a.Name, "indexes", a.Indexing.Indexes)
		}
	case pki.KindOf(err) == pki.Conflict: // another process went on
		order.Rest(a.ID, lookForIndexes)
	case ctx.Err() == nil:
		x.stats.Failures.Add(1)
		x.cfg.Log.ErrorContext(ctx, "making indexes", "tenant", a.Tenant, "authority", a.Name, "error", err)
		x.cfg.Alarms.Raise(alarm.Alarm{Key: key, Severity: alarm.Warning,
			What: fmt.Sprintf("The indexes %v of the authority %s cannot be made: %s", a.Indexing.Indexes, a.Name, pki.DetailOf(err)),
			Do:   "Searches do as without them, and nothing else is concerned. The server's log says more. It goes on by itself once that is mended."})
		order.Rest(a.ID, turns.Backoff(indexPause, *failures, maxIndexPause))
		*failures++
	}
	return true, nil
}
