package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// packRequests returns the requests of a chunk's rows as they are stored; an empty one
// is of a row of which none is kept:
//
//	checkSize bytes of SHA-256 over all requests, each with its length before it
//	of each row uvarint 2n, n bytes: the request; or
//	uvarint 2n+1, n bytes: the delta that makes it from the first request that there is
func packRequests(requests [][]byte) []byte {
	sum := sha256.New()
	packed := make([]byte, checkSize, checkSize+128*len(requests))
	var first *reference
	var delta []byte
	for _, r := range requests {
		sumRequest(sum, r)
		kind, content := uint64(0), r
		if first != nil && len(r) > 0 && len(r) <= maxDelta {
			if delta = first.appendDelta(delta[:0], r); len(delta) < len(r) {
				kind, content = 1, delta
			}
		}
		packed = binary.AppendUvarint(packed, uint64(len(content))<<1|kind)
		packed = append(packed, content...)
		if first == nil && len(r) > 0 && len(r) <= maxDelta {
			first = newReference(0, 0, 0, r)
		}
	}
	copy(packed, sum.Sum(nil)[:checkSize])
	return packed
}

func sumRequest(sum hash.Hash, request []byte) {
	var length [binary.MaxVarintLen64]byte
	sum.Write(length[:binary.PutUvarint(length[:], uint64(len(request)))])
	sum.Write(request)
}

// unpackRequests is the reverse of packRequests for count requests. It returns errDamaged
// rather than others than were packed, and makes no more than maxDelta bytes of each that
// is not in packed itself.
func unpackRequests(packed []byte, count int) ([][]byte, error) {
	if len(packed) < checkSize {
		return nil, errDamaged
	}
	sum := sha256.New()
	d := deltaReader{rest: packed[checkSize:]}
	requests := make([][]byte, 0, min(count, len(d.rest)))
	var first *reference
	for range count {
		n := d.uvarint(2*len(d.rest) + 1)
		r := d.bytes(n >> 1)
		if d.bad {
			return nil, errDamaged
		}
		if n&1 == 1 {
			if first == nil {
				return nil, errDamaged
			}
			var err error
			if r, err = first.apply(r); err != nil {
				return nil, errDamaged
			}
		}
		if first == nil && len(r) > 0 && len(r) <= maxDelta {
			first = newReference(0, 0, 0, r)
		}
		sumRequest(sum, r)
		if len(r) == 0 {
			r = nil
		}
		requests = append(requests, r)
	}
	if len(d.rest) > 0 || string(sum.Sum(nil)[:checkSize]) != string(packed[:checkSize]) {
		return nil, errDamaged
	}
	return requests, nil
}

// purgeable goes through the batches in the order of their names, from a chunk of the first
// one on. CROSS JOIN keeps the order of the tables. A batch has a time finished when it is
// at its end, done or cancelled.
const purgeable = `SELECT b.tenant, b.id, c.no, c.first_row, c.row_count, r.rows FROM batch b
	CROSS JOIN batch_rows r ON r.batch = b.num AND r.no > CASE WHEN b.id = $2 THEN $3 ELSE -1 END
	CROSS JOIN batch_chunk c ON c.batch = r.batch AND c.no = r.no
	WHERE b.id >= $2 AND b.finished > 0 AND b.finished < $1 AND c.state <> 'claimed'
	ORDER BY b.id, r.no LIMIT $4`

// PurgeableRows implements batch.Store.
func (s *Store) PurgeableRows(ctx context.Context, before time.Time, after batch.ChunkID, limit int) ([]*batch.Purge, error) {
	all, err := list(ctx, s.read, func(row row) (*batch.Purge, error) {
		p := new(batch.Purge)
		return p, row.Scan(&p.Tenant, &p.Batch, &p.Chunk.No, &p.Chunk.First, &p.Chunk.Count, &p.Chunk.Rows)
	}, purgeable, micros(before), after.Batch, after.No, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for rows of batches to drop: %w", err)
	}
	return all, nil
}

// PurgeRows implements batch.Store.
func (s *Store) PurgeRows(ctx context.Context, before time.Time, chunks ...*batch.Purge) (purged int, err error) {
	packed := make([][]byte, len(chunks)) // before the transaction, in which others wait
	for i, p := range chunks {
		for _, r := range p.Requests {
			if len(r) > 0 {
				packed[i] = packRequests(p.Requests)
				break
			}
		}
	}
	err = s.update(ctx, func(t *tx) error {
		purged = 0
		for i, p := range chunks {
			done, err := t.purge(before, p, packed[i])
			if err != nil {
				return fmt.Errorf("dropping rows of batch %s: %w", p.Batch, err)
			}
			if done {
				purged++
			}
		}
		return nil
	})
	return purged, err
}

// purge drops the rows of a chunk and keeps its requests, nil for none; false where they
// are not to be dropped, or are gone.
func (t *tx) purge(before time.Time, p *batch.Purge, requests []byte) (bool, error) {
	num, err := one(context.Background(), t, scanInt, `SELECT b.num FROM batch b JOIN batch_chunk c ON c.batch = b.num AND c.no = $3
		WHERE b.tenant = $1 AND b.id = $2 AND b.state IN ('done', 'cancelled') AND b.finished > 0 AND b.finished < $4 AND c.state <> 'claimed'`,
		p.Tenant, p.Batch, p.Chunk.No, micros(before))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	}
	rows, err := t.exec(`DELETE FROM batch_rows WHERE batch = $1 AND no = $2`, num, p.Chunk.No)
	if err != nil || rows == 0 || requests == nil {
		return rows > 0, err
	}
	// The last of its certificates may have been archived since the requests were read.
	_, err = t.exec(`INSERT INTO batch_request (batch, no, packed) SELECT $1, $2, $3
		WHERE EXISTS (SELECT 1 FROM certificate WHERE batch = $1 AND row_no >= $4 AND row_no < $5)`,
		num, p.Chunk.No, requests, p.Chunk.First, p.Chunk.First+int64(p.Chunk.Count))
	return true, err
}

// keptRequests is led by batch_chunk_row.
const keptRequests = `SELECT c.no, c.first_row, c.row_count, k.packed FROM batch b JOIN batch_chunk c ON c.batch = b.num
	JOIN batch_request k ON k.batch = c.batch AND k.no = c.no
	WHERE b.tenant = $1 AND b.id = $2 AND c.first_row <= $3 AND c.first_row + c.row_count > $3 ORDER BY c.first_row DESC LIMIT 1`

// KeptRequests implements batch.Store.
func (s *Store) KeptRequests(ctx context.Context, tenant pki.TenantID, id pki.BatchID, row int64) (first int64, requests [][]byte, err error) {
	c, err := one(ctx, s.read, scanChunk, keptRequests, tenant, id, row)
	if c, err = found(c, err, "request of row %d of batch %q that is kept", row, id); err != nil {
		return 0, nil, err
	}
	if requests, err = unpackRequests(c.Rows, c.Count); err != nil {
		return 0, nil, fmt.Errorf("the requests of chunk %d of batch %s: %w", c.No, id, err)
	}
	return c.First, requests, nil
}

// dropRequests drops the requests of each chunk that has had one of the entries, of the
// tenant, and has no certificate any more.
func (t *tx) dropRequests(tenant pki.TenantID, entries []retention.Entry) error {
	type span struct {
		of               pki.BatchID
		batch            int64
		no, first, count int64
	}
	var at span // of the entry before: those of one chunk mostly follow each other
	for i := range entries {
		l := &entries[i].Leaf
		if l.Batch == "" || l.Batch == at.of && l.Row >= at.first && l.Row < at.first+at.count {
			continue
		}
		var err error
		at, err = one(context.Background(), t, func(row row) (span, error) {
			c := span{of: l.Batch}
			return c, row.Scan(&c.batch, &c.no, &c.first, &c.count)
		}, `SELECT c.batch, c.no, c.first_row, c.row_count FROM batch b JOIN batch_chunk c ON c.batch = b.num
			WHERE b.tenant = $1 AND b.id = $2 AND c.first_row <= $3 AND c.first_row + c.row_count > $3 ORDER BY c.first_row DESC LIMIT 1`, tenant, l.Batch, l.Row)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err == nil {
			_, err = t.exec(`DELETE FROM batch_request WHERE batch = $1 AND no = $2 AND NOT EXISTS
				(SELECT 1 FROM certificate WHERE batch = $1 AND row_no >= $3 AND row_no < $4)`, at.batch, at.no, at.first, at.first+at.count)
		}
		if err != nil {
			return fmt.Errorf("dropping the requests of batch %s: %w", l.Batch, err)
		}
	}
	return nil
}

// ScanRequests implements check.Store.
func (s *Store) ScanRequests(ctx context.Context, after int64, limit int) ([]check.KeptRequests, error) {
	all, err := list(ctx, s.read, func(row row) (k check.KeptRequests, err error) {
		var packed []byte
		var count int
		if err = row.Scan(&k.ID, &k.Batch, &k.Chunk, &count, &packed); err == nil {
			_, damaged := unpackRequests(packed, count)
			k.Damaged = damaged != nil
		}
		return k, err
	}, `SELECT k.id, coalesce(b.id, ''), k.no, coalesce(c.row_count, 0), k.packed FROM batch_request k
		LEFT JOIN batch b ON b.num = k.batch LEFT JOIN batch_chunk c ON c.batch = k.batch AND c.no = k.no
		WHERE k.id > $1 ORDER BY k.id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the requests of batches: %w", err)
	}
	return all, nil
}
