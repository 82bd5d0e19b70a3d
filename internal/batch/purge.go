package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// maxUnreadable is how many chunks that cannot be read are remembered: with more of them
// nothing is dropped until they are mended.
const maxUnreadable = 64

// A chunkID names a chunk of a batch.
type chunkID struct {
	batch pki.BatchID
	no    int
}

// PurgeRows drops the rows of some limit chunks, of batches of all tenants that ended
// before a time, and returns how many; fewer than limit are all that there are. The request
// of each row that has a certificate in the store is kept for as long as that is, without
// what the certificate has of it; those of the other rows are not. Chunks that cannot be
// read stay, and are an error when all others are gone. One call at a time.
func (s *Service) PurgeRows(ctx context.Context, before time.Time, limit int) (purged int, err error) {
	for purged < limit {
		chunks, err := s.cfg.Store.PurgeableRows(ctx, before, limit+len(s.unreadable))
		if err != nil {
			return purged, err
		}
		stay := make(map[chunkID]error) // those of before may be gone
		chunks = slices.DeleteFunc(chunks, func(p *Purge) bool {
			id := chunkID{p.Batch, p.Chunk.No}
			known := s.unreadable[id]
			if known == nil {
				requests, err := s.cut(ctx, p)
				if p.Requests = requests; err == nil {
					return false
				}
				known = fmt.Errorf("rows %d to %d of batch %s stay: %w", p.Chunk.First, p.Chunk.First+int64(p.Chunk.Count)-1, p.Batch, err)
			}
			stay[id] = known
			return true
		})
		for id := range s.unreadable {
			if stay[id] == nil {
				delete(s.unreadable, id)
			}
		}
		found := false // one that was not known
		for id, err := range stay {
			if s.unreadable[id] == nil && len(s.unreadable) < maxUnreadable {
				s.unreadable[id], found = err, true
			}
		}
		if len(chunks) == 0 && !found {
			all := slices.Collect(maps.Values(stay))
			clear(s.unreadable) // the next round looks at them again
			return purged, errors.Join(all...)
		}
		n, err := s.cfg.Store.PurgeRows(ctx, before, chunks...)
		purged += n
		if err != nil || n == 0 && !found {
			return purged, err
		}
	}
	return purged, nil
}

// cut returns the requests that are to be kept of a chunk.
func (s *Service) cut(ctx context.Context, p *Purge) ([][]byte, error) {
	c := &p.Chunk
	ends, err := s.cfg.Store.Results(ctx, p.Tenant, p.Batch, c.First-1, c.Count)
	if err != nil {
		return nil, err
	}
	rows, err := decodeRows(c.Rows, c.First, c.Count)
	if err != nil {
		return nil, err
	}
	requests := make([][]byte, c.Count)
	for _, r := range ends {
		at := r.Row - c.First
		if r.Certificate == nil || at >= int64(c.Count) {
			continue
		}
		of, err := tbs.ParseCertificate(r.Certificate.DER)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", r.Row, err)
		}
		requests[at] = tbs.CutKey(tbs.BlankChallenge(rows[at].CSR), of.Key.SPKI())
	}
	return requests, nil
}

// Requests returns the requests of the rows of the chunk that holds a row, without their
// challenges, and the number of its first row. Each is as tbs.CutKey leaves it, nil where
// none is kept. It is NotFound where the rows were dropped and no request is kept.
func (s *Service) Requests(ctx context.Context, tenant pki.TenantID, id pki.BatchID, row int64) (first int64, requests [][]byte, err error) {
	c, err := s.cfg.Store.ChunkOf(ctx, tenant, id, row)
	if pki.KindOf(err) == pki.NotFound { // after this they may be kept, and not before
		return s.cfg.Store.KeptRequests(ctx, tenant, id, row)
	}
	if err != nil {
		return 0, nil, err
	}
	rows, err := decodeRows(c.Rows, c.First, c.Count)
	if err != nil {
		return 0, nil, err
	}
	requests = make([][]byte, len(rows))
	for i := range rows {
		if len(rows[i].CSR) > 0 {
			requests[i] = tbs.CutKey(tbs.BlankChallenge(rows[i].CSR), nil)
		}
	}
	return c.First, requests, nil
}
