package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

const (
	// idempotencyLife is how long a single request can be sent again under its
	// idempotency key; after that it is a new one.
	idempotencyLife = 30 * 24 * time.Hour

	// housekeepingEvery is the time between two rounds.
	housekeepingEvery = time.Hour

	// purgeSlice bounds one transaction: issuance waits for no longer one.
	purgeSlice = 1000
)

// A purger forgets idempotency keys that were claimed before a time, up to limit
// of them, and returns how many it forgot. The store is one.
type purger interface {
	PurgeIdempotency(ctx context.Context, before time.Time, limit int) (int, error)
}

// A housekeeper drops what has had its time.
type housekeeper struct {
	store purger
	now   pki.Clock
	log   *slog.Logger
}

// run works at once and then every hour, until ctx ends. An error is logged, and
// the next round tries again.
func (h *housekeeper) run(ctx context.Context) error {
	tick := time.NewTicker(housekeepingEvery)
	defer tick.Stop()
	for {
		purged, err := h.purge(ctx)
		if err != nil && ctx.Err() == nil {
			h.log.ErrorContext(ctx, "purge idempotency keys", "error", err)
		}
		if purged > 0 {
			h.log.InfoContext(ctx, "idempotency keys purged", "keys", purged)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// purge forgets every idempotency key that is too old, and returns how many.
func (h *housekeeper) purge(ctx context.Context) (purged int, err error) {
	before := h.now().Add(-idempotencyLife)
	for {
		n, err := h.store.PurgeIdempotency(ctx, before, purgeSlice)
		purged += n
		if err != nil || n < purgeSlice {
			return purged, err
		}
	}
}
