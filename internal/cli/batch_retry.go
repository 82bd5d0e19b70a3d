package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// batchRetry is "pando batch retry".
type batchRetry struct {
	batchID
	Kind           []string `placeholder:"KIND" help:"Only rows that were refused for this kind of problem, as results name it: ${kinds}; may be repeated (default: all)."`
	IdempotencyKey string   `placeholder:"TEXT" help:"The same retry under the same key is the same batch (default: of the batch and the kinds)."`
	waiting
}

func (batchRetry) Help() string {
	return `Makes a new batch of the rows that a finished batch refused, as they were uploaded. Their results name the row of the first file as "origin_row". A row is retried once; what is refused again is retried from the new batch. Nothing gets a second certificate: the same rules hold as for any row.

Asking again finds the same batch.

Examples:

    pando batch retry 0ab3... --kind unavailable --results lot-7-again.ndjson
    pando batch retry 0ab3... --wait`
}

// Run starts the retry.
func (r *batchRetry) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := refuseExisting(r.Results); err != nil {
		return err
	}
	key := r.IdempotencyKey
	if key == "" {
		kinds := slices.Sorted(slices.Values(r.Kind))
		key = strings.Join(append([]string{"retry", r.ID}, slices.Compact(kinds)...), " ")
	}
	b, err := cl.RetryBatch(ctx, r.ID, r.Kind, key)
	if kindOf(err) == pki.Conflict.String() && r.IdempotencyKey == "" && strings.Contains(err.Error(), "idempotency key") {
		return hintf(err, "batch and kinds are the key where none is given: --idempotency-key gives another")
	}
	if err != nil {
		return err
	}
	return r.follow(ctx, c, cl, b)
}
