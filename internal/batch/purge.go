package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// PurgeRows drops the rows of up to limit chunks, of batches of all tenants that ended
// before a time, and returns how many. The request of each row that has a certificate in
// the store is kept for as long as that is, without what the certificate has of it; those
// of the other rows are not.
func (s *Service) PurgeRows(ctx context.Context, before time.Time, limit int) (int, error) {
	chunks, err := s.cfg.Store.PurgeableRows(ctx, before, limit)
	if err != nil {
		return 0, err
	}
	var stay error // of those that cannot be read; the others go on
	chunks = slices.DeleteFunc(chunks, func(p *Purge) bool {
		requests, err := s.cut(ctx, p)
		if p.Requests = requests; err != nil {
			stay = errors.Join(stay, fmt.Errorf("rows %d to %d of batch %s stay: %w", p.Chunk.First, p.Chunk.First+int64(p.Chunk.Count)-1, p.Batch, err))
		}
		return err != nil
	})
	if len(chunks) == 0 {
		return 0, stay
	}
	n, err := s.cfg.Store.PurgeRows(ctx, before, chunks...)
	return n, errors.Join(err, stay)
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
