package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// A chunk is pending, then claimed by an intent, then closed: each row of it has
// its end. An intent that comes to nothing gives it back.

// RestartUpload implements batch.Store.
func (s *Store) RestartUpload(ctx context.Context, tenant pki.TenantID, id pki.BatchID, scopes []access.Scope) error {
	return s.update(ctx, func(t *tx) error {
		b, err := t.inState(tenant, id, batch.Uploading, batch.Cancelled)
		if err != nil {
			return err
		}
		rows, err := t.exec(`UPDATE batch SET state = 'uploading', finished = 0, scopes = $2 WHERE num = $1 AND row_count = 0`, b.num, scopesText(scopes))
		switch {
		case err != nil:
			return fmt.Errorf("restarting an upload: %w", err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "batch %s was cancelled after its upload", id)
		}
		return t.dropUpload(b)
	})
}

// DropRetry implements batch.Store.
func (s *Store) DropRetry(ctx context.Context, tenant pki.TenantID, id pki.BatchID, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		b, err := t.inState(tenant, id, batch.Uploading)
		switch {
		case err != nil:
			return err
		case b.RetryOf == "":
			return pki.Errorf(pki.Conflict, "batch %s is no retry", id)
		}
		if err := t.dropUpload(b); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM batch WHERE num = $1`, b.num); err != nil {
			return fmt.Errorf("dropping a retry: %w", err)
		}
		return t.event(e)
	})
}

// dropUpload drops what was uploaded of a batch, and its marks on rows that it retries.
func (t *tx) dropUpload(b *storedBatch) error {
	for _, text := range []string{`DELETE FROM batch_rows WHERE batch = $1`, `DELETE FROM batch_origin WHERE batch = $1`, `DELETE FROM batch_chunk WHERE batch = $1`} {
		if _, err := t.exec(text, b.num); err != nil {
			return fmt.Errorf("dropping an upload: %w", err)
		}
	}
	return t.giveUpRetries(b)
}

// AddChunks implements batch.Store. It is Conflict, too, where a chunk's number or
// first row is there already.
func (s *Store) AddChunks(ctx context.Context, tenant pki.TenantID, id pki.BatchID, chunks ...*batch.Chunk) error {
	return s.update(ctx, func(t *tx) error {
		num, err := one(ctx, t, scanInt, `SELECT num FROM batch WHERE tenant = $1 AND id = $2 AND state = 'uploading'`, tenant, id)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = t.inState(tenant, id, batch.Uploading) // says what is wrong
		}
		if err != nil {
			return err
		}
		for _, c := range chunks {
			if err := t.addChunk(num, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) addChunk(num int64, c *batch.Chunk) error {
	rows, err := t.exec(`INSERT INTO batch_chunk (batch, no, first_row, row_count, state, checked, issued, refused)
		VALUES ($1, $2, $3, $4, 'pending', 0, 0, 0) ON CONFLICT DO NOTHING`, num, c.No, c.First, c.Count)
	switch {
	case err != nil:
		return fmt.Errorf("storing a chunk: %w", err)
	case rows == 0:
		return pki.Errorf(pki.Conflict, "chunk %d of the batch is there already", c.No)
	}
	if _, err := t.exec(`INSERT INTO batch_rows (batch, no, rows) VALUES ($1, $2, $3)`, num, c.No, bytesOf(c.Rows)); err != nil {
		return fmt.Errorf("storing a chunk's rows: %w", err)
	}
	return t.retry(num, c)
}

const selectChunk = `SELECT c.no, c.first_row, c.row_count, r.rows FROM batch b
	JOIN batch_chunk c ON c.batch = b.num JOIN batch_rows r ON r.batch = c.batch AND r.no = c.no
	WHERE b.tenant = $1 AND b.id = $2 `

func scanChunk(row row) (*batch.Chunk, error) {
	c := new(batch.Chunk)
	return c, row.Scan(&c.No, &c.First, &c.Count, &c.Rows)
}

// PendingChunks implements batch.Store.
func (s *Store) PendingChunks(ctx context.Context, tenant pki.TenantID, id pki.BatchID, from, limit int) ([]*batch.Chunk, error) {
	if _, err := s.batchNum(ctx, s.read, tenant, id); err != nil {
		return nil, err
	}
	chunks, err := list(ctx, s.read, scanChunk, selectChunk+`AND c.no >= $3 AND c.state = 'pending' ORDER BY c.no LIMIT $4`, tenant, id, from, limit)
	if err != nil {
		return nil, fmt.Errorf("reading pending chunks: %w", err)
	}
	return chunks, nil
}

// ChunkOf implements batch.Store.
func (s *Store) ChunkOf(ctx context.Context, tenant pki.TenantID, id pki.BatchID, row int64) (*batch.Chunk, error) {
	c, err := one(ctx, s.read, scanChunk, selectChunk+`AND c.first_row <= $3 ORDER BY c.first_row DESC LIMIT 1`, tenant, id, row)
	if err == nil && row >= c.First+int64(c.Count) {
		err = sql.ErrNoRows
	}
	return found(c, err, "row %d in batch %q", row, id)
}

func (s *Store) batchNum(ctx context.Context, from source, tenant pki.TenantID, id pki.BatchID) (int64, error) {
	num, err := one(ctx, from, scanInt, `SELECT num FROM batch WHERE tenant = $1 AND id = $2`, tenant, id)
	return found(num, err, "batch %q", id)
}

// PutCheck implements batch.Store; Conflict unless the batch is Checking.
func (s *Store) PutCheck(ctx context.Context, tenant pki.TenantID, id pki.BatchID, chunk int, refusals []issuance.Refusal) error {
	return s.update(ctx, func(t *tx) error {
		b, err := t.inState(tenant, id, batch.Checking)
		if err != nil {
			return err
		}
		if err := t.dropRefusals(b.num, chunk); err != nil {
			return err
		}
		for _, r := range refusals {
			if err := t.refuse(b.num, chunk, r); err != nil {
				return err
			}
		}
		rows, err := t.exec(`UPDATE batch_chunk SET checked = 1, refused = $1 WHERE batch = $2 AND no = $3`, len(refusals), b.num, chunk)
		switch {
		case err != nil:
			return fmt.Errorf("storing a check: %w", err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no chunk %d in batch %q", chunk, id)
		}
		return nil
	})
}

// dropCheck forgets what a dry run found in a batch, but not that it looked.
func (t *tx) dropCheck(batch int64) error {
	for _, text := range []string{`DELETE FROM batch_refusal WHERE batch = $1`, `UPDATE batch_chunk SET refused = 0 WHERE batch = $1`} {
		if _, err := t.exec(text, batch); err != nil {
			return fmt.Errorf("dropping a dry run's findings: %w", err)
		}
	}
	return nil
}

// claimChunk claims a pending chunk of a running batch and returns the batch's
// number, or NULL where there is none to claim.
func (t *tx) claimChunk(id pki.BatchID, chunk int) (sql.NullInt64, error) {
	num, err := one(context.Background(), t, scanInt, `UPDATE batch_chunk SET state = 'claimed'
		WHERE batch = (SELECT num FROM batch WHERE id = $1 AND state = 'running') AND no = $2 AND state = 'pending' RETURNING batch`, id, chunk)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return sql.NullInt64{}, nil
	case err != nil:
		return sql.NullInt64{}, fmt.Errorf("claiming a chunk: %w", err)
	}
	return sql.NullInt64{Int64: num, Valid: true}, nil
}

// closeChunk closes a claimed chunk; the refusals are those stored for its rows.
func (t *tx) closeChunk(batch int64, chunk, issued int) error {
	_, err := t.exec(`UPDATE batch_chunk SET state = 'closed', issued = $1, refused = (SELECT count(*) FROM batch_refusal r
			WHERE r.batch = batch_chunk.batch AND r.row_no >= batch_chunk.first_row AND r.row_no < batch_chunk.first_row + batch_chunk.row_count)
		WHERE batch = $2 AND no = $3`, issued, batch, chunk)
	if err != nil {
		return fmt.Errorf("closing a chunk: %w", err)
	}
	return nil
}

// releaseChunk makes a claimed chunk pending again, without refusals.
func (t *tx) releaseChunk(batch int64, chunk int) error {
	if err := t.dropRefusals(batch, chunk); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE batch_chunk SET state = 'pending' WHERE batch = $1 AND no = $2`, batch, chunk); err != nil {
		return fmt.Errorf("releasing a chunk: %w", err)
	}
	return nil
}

func (t *tx) dropRefusals(batch int64, chunk int) error {
	_, err := t.exec(`DELETE FROM batch_refusal WHERE batch = $1
			AND row_no >= (SELECT first_row FROM batch_chunk WHERE batch = $1 AND no = $2)
			AND row_no < (SELECT first_row + row_count FROM batch_chunk WHERE batch = $1 AND no = $2)`, batch, chunk)
	if err != nil {
		return fmt.Errorf("dropping refusals: %w", err)
	}
	return nil
}

// refuse stores why a row gets no certificate.
func (t *tx) refuse(batch int64, chunk int, r issuance.Refusal) error {
	_, err := t.exec(`INSERT INTO batch_refusal (batch, row_no, chunk, device, kind, reason, product_line, lot, site)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (batch, row_no) DO UPDATE SET
			device = excluded.device, kind = excluded.kind, reason = excluded.reason,
			product_line = excluded.product_line, lot = excluded.lot, site = excluded.site`,
		batch, r.Row, chunk, r.Device, r.Kind.String(), r.Reason, r.Placement.ProductLine, r.Placement.Lot, r.Placement.Site)
	if err != nil {
		return fmt.Errorf("storing a refusal: %w", err)
	}
	return nil
}
