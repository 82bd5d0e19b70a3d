package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

const (
	// housekeepingEvery is the time between two rounds.
	housekeepingEvery = time.Hour

	// purgeSlice bounds one transaction: issuance waits for no longer one. A chunk
	// of a batch has up to a thousand rows.
	purgeSlice, purgeChunks = 1000, 8

	// secretsKept is for how long after its end a secret can be looked at, as who made
	// it: longer than anything waits for approval.
	secretsKept = 90 * 24 * time.Hour
)

// A purger drops up to limit of what it has from before a time, and returns how many
// it dropped.
type purger func(ctx context.Context, before time.Time, limit int) (int, error)

// A shelf is one kind of what has its time.
type shelf struct {
	what  string
	purge purger
	life  time.Duration
	slice int
	count *stat.Purges
}

// A housekeeper drops what has had its time.
type housekeeper struct {
	shelves []shelf
	now     pki.Clock
	log     *slog.Logger
}

// newPurged returns the counts of each shelf, by the name that metrics have for it.
func newPurged() map[string]*stat.Purges {
	return map[string]*stat.Purges{"idempotency-keys": {}, "scep-transactions": {}, "batch-chunks": {}, "enrolment-secrets": {}}
}

func (s *Server) housekeeper() *housekeeper {
	keep, count := s.cfg.Retention, s.purged
	return &housekeeper{now: s.now, log: s.log, shelves: []shelf{
		{"idempotency keys", s.store.PurgeIdempotency, time.Duration(keep.IdempotencyKeys), purgeSlice, count["idempotency-keys"]},
		{"SCEP transactions", s.store.PurgeSCEP, time.Duration(keep.IdempotencyKeys), purgeSlice, count["scep-transactions"]},
		{"chunks of batches' rows", s.batch.PurgeRows, time.Duration(keep.BatchRows), purgeChunks, count["batch-chunks"]},
		{"enrolment secrets", s.store.PurgeSecrets, secretsKept, purgeSlice, count["enrolment-secrets"]},
	}}
}

// run works at once and then every hour, until ctx ends. An error is logged, and
// the next round tries again.
func (h *housekeeper) run(ctx context.Context) error {
	tick := time.NewTicker(housekeepingEvery)
	defer tick.Stop()
	for {
		for _, s := range h.shelves {
			purged, err := h.empty(ctx, s)
			s.count.Removed.Add(purged)
			if err != nil && ctx.Err() == nil {
				s.count.Failures.Add(1)
				h.log.ErrorContext(ctx, "purge", "what", s.what, "error", err)
			}
			if purged > 0 {
				h.log.InfoContext(ctx, "purged", "what", s.what, "count", purged)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// empty drops everything of a shelf that is too old, and returns how much.
func (h *housekeeper) empty(ctx context.Context, s shelf) (purged int, err error) {
	before := h.now().Add(-s.life)
	for {
		n, err := s.purge(ctx, before, s.slice)
		purged += n
		if err != nil || n < s.slice {
			return purged, err
		}
	}
}
