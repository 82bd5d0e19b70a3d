package batch

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// The bounds of what Naming looks for.
const (
	maxNaming    = 100    // batches
	namingChunks = 20_000 // of all batches: 2,500,000 rows
	namingAtOnce = 8      // chunks
)

// Naming returns the batches of a tenant that are to be issued, not at their end, and of which
// a row that nobody works on yet names a lot itself, up to 100. Dry runs are not among them. It looks through up to 2,500,000 rows
// of the tenant's batches, the oldest batch first.
func (s *Service) Naming(ctx context.Context, tenant pki.TenantID, lot string) (found []pki.BatchID, err error) {
	all, err := s.cfg.Store.Active(ctx, Uploading, Waiting, Running, Paused)
	if err != nil {
		return nil, err
	}
	left := namingChunks
	for _, b := range all {
		if b.Tenant != tenant || b.State == Uploading && b.DryRun || len(found) == maxNaming || left <= 0 {
			continue
		}
		names, read, err := s.names(ctx, b, lot, left)
		if err != nil {
			return nil, err
		}
		if left -= read; names {
			found = append(found, b.ID)
		}
	}
	return found, nil
}

// names reports whether a pending row of a batch names a lot, and how many chunks it read,
// which is most at most.
func (s *Service) names(ctx context.Context, b *Batch, lot string, most int) (names bool, read int, err error) {
	for from := 0; read < most; {
		chunks, err := s.cfg.Store.PendingChunks(ctx, b.Tenant, b.ID, from, min(namingAtOnce, most-read))
		if err != nil || len(chunks) == 0 {
			return false, read, err
		}
		for _, c := range chunks {
			if read++; !bytes.Contains(c.Rows, []byte(lot)) { // most have not, and need not be decoded
				continue
			}
			rows, err := decodeRows(c.Rows, c.First, c.Count)
			if err != nil {
				return false, read, fmt.Errorf("whether batch %s has rows of lot %q: %w", b.ID, lot, err)
			}
			if slices.ContainsFunc(rows, func(r enroll.Row) bool { return r.Problem == "" && r.Placement.Lot == lot }) {
				return true, read, nil
			}
		}
		from = chunks[len(chunks)-1].No + 1
	}
	return false, read, nil
}
