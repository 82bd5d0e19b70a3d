package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A round of dropping rows ends where this many chunks could not be read, so that what it
// costs is bounded, and names the first few of them.
const (
	maxUnreadable   = 1024
	namedUnreadable = 8
)

// A purgeRound is how far a round of dropping rows has come.
type purgeRound struct {
	after ChunkID // that and all before it were looked at
	stay  int     // how many could not be read
	named []error // of the first of them
}

// PurgeRows drops the rows of some limit chunks, of batches of all tenants that ended
// before a time, and returns how many; fewer than limit are the end of a round, in which
// each chunk has its turn once. The request of each row that has a certificate in the store
// is kept for as long as that is, without what the certificate has of it; those of the
// other rows are not. Chunks that cannot be read stay, and are an error at the end of the
// round. A round that an error ended is followed by one that goes on behind what it was
// at, and that by one from the beginning. One call at a time.
func (s *Service) PurgeRows(ctx context.Context, before time.Time, limit int) (purged int, err error) {
	for purged < limit {
		chunks, err := s.cfg.Store.PurgeableRows(ctx, before, s.round.after, limit)
		if err != nil {
			return purged, err
		}
		end := len(chunks) < limit
		if len(chunks) > 0 {
			n, err := s.purge(ctx, before, chunks)
			purged += n
			if err != nil {
				return purged, err
			}
		}
		switch stay := s.round.told(); {
		case end:
			s.round = purgeRound{}
			return purged, stay
		case s.round.stay >= maxUnreadable:
			s.round = purgeRound{after: s.round.after}
			return purged, stay
		}
	}
	return purged, nil
}

// purge drops the rows of those of the chunks that can be read, and returns how many. What
// comes next is behind all of them, also where the store refuses to: what is wrong with
// some of them keeps none that are read after them.
func (s *Service) purge(ctx context.Context, before time.Time, chunks []*Purge) (int, error) {
	var drop []*Purge
	for _, p := range chunks {
		requests, err := s.cut(ctx, p)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil:
			s.round.leave(p, err)
		default:
			p.Requests = requests
			drop = append(drop, p)
		}
	}
	last := chunks[len(chunks)-1]
	s.round.after = ChunkID{last.Batch, last.Chunk.No}
	if len(drop) == 0 {
		return 0, nil
	}
	return s.cfg.Store.PurgeRows(ctx, before, drop...)
}

// leave notes that a chunk stays.
func (r *purgeRound) leave(p *Purge, err error) {
	r.stay++
	if len(r.named) < namedUnreadable {
		r.named = append(r.named, fmt.Errorf("rows %d to %d of batch %s stay: %w", p.Chunk.First, p.Chunk.First+int64(p.Chunk.Count)-1, p.Batch, err))
	}
}

// told returns what is to be said of the chunks that stay, nil where there are none.
func (r *purgeRound) told() error {
	if r.stay == 0 {
		return nil
	}
	return fmt.Errorf("%d chunks of rows cannot be read: %w", r.stay, errors.Join(r.named...))
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
