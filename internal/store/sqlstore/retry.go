package sqlstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

// Retryable implements batch.Store.
func (s *Store) Retryable(ctx context.Context, tenant pki.TenantID, id pki.BatchID, kinds []pki.Kind, after int64, limit int) ([]batch.Retry, error) {
	var rows []batch.Retry
	err := s.read.snapshot(ctx, func(from source) error {
		b, err := batchHead(ctx, from, tenant, id)
		if err != nil {
			return err
		}
		args := []any{b.num, after, limit}
		text := `SELECT r.row_no FROM batch_refusal r JOIN batch_chunk c ON c.batch = r.batch AND c.no = r.chunk
			WHERE r.batch = $1 AND r.row_no > $2 AND r.retried = 0 AND c.state = 'closed'`
		if len(kinds) > 0 {
			marks := make([]string, len(kinds))
			for i, k := range kinds {
				args = append(args, k.String())
				marks[i] = fmt.Sprintf("$%d", len(args))
			}
			text += ` AND r.kind IN (` + strings.Join(marks, ", ") + `)`
		}
		numbers, err := list(ctx, from, scanInt, text+` ORDER BY r.row_no LIMIT $3`, args...)
		if err != nil {
			return err
		}
		for _, n := range numbers {
			rows = append(rows, batch.Retry{Row: n, Origin: n})
		}
		return s.origins(ctx, from, b, len(rows), func(i int) (int64, *int64) { return rows[i].Row, &rows[i].Origin })
	})
	if err != nil {
		return nil, fmt.Errorf("reading refused rows: %w", err)
	}
	return rows, nil
}

// retry marks the rows of a chunk of a retry as retried by it, and stores where
// they come from.
func (t *tx) retry(num int64, c *batch.Chunk) error {
	if c.Retries == nil {
		return nil
	}
	var origins []byte
	for _, r := range c.Retries {
		rows, err := t.exec(`UPDATE batch_refusal SET retried = $1
			WHERE batch = (SELECT p.num FROM batch p JOIN batch b ON b.retry_of = p.id AND b.tenant = p.tenant WHERE b.num = $1) AND row_no = $2 AND retried = 0`, num, r.Row)
		switch {
		case err != nil:
			return fmt.Errorf("marking a row as retried: %w", err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "row %d is retried by another batch", r.Row)
		}
		origins = binary.AppendUvarint(origins, uint64(r.Origin))
	}
	if _, err := t.exec(`INSERT INTO batch_origin (batch, no, origins) VALUES ($1, $2, $3)`, num, c.No, origins); err != nil {
		return fmt.Errorf("storing where rows come from: %w", err)
	}
	return nil
}

// giveUpRetries lets the rows that a batch was to retry be retried by another.
func (t *tx) giveUpRetries(b *storedBatch) error {
	if b.RetryOf == "" {
		return nil
	}
	_, err := t.exec(`UPDATE batch_refusal SET retried = 0
		WHERE batch = (SELECT num FROM batch WHERE tenant = $1 AND id = $2) AND retried = $3`, b.Tenant, b.RetryOf, b.num)
	if err != nil {
		return fmt.Errorf("giving up retries: %w", err)
	}
	return nil
}

// origins sets where n rows of a batch, in order of their numbers, stood in the
// file that was uploaded at first, if the batch is a retry.
func (s *Store) origins(ctx context.Context, from source, b *storedBatch, n int, at func(int) (number int64, origin *int64)) error {
	if b.RetryOf == "" || n == 0 {
		return nil
	}
	first, _ := at(0)
	last, _ := at(n - 1)
	type span struct {
		first   int64
		origins []int64
	}
	chunks, err := list(ctx, from, func(row row) (s span, err error) {
		var packed []byte
		if err := row.Scan(&s.first, &packed); err != nil {
			return s, err
		}
		s.origins, err = unpackOrigins(packed)
		return s, err
	}, `SELECT c.first_row, o.origins FROM batch_chunk c JOIN batch_origin o ON o.batch = c.batch AND o.no = c.no
		WHERE c.batch = $1 AND c.first_row <= $2 AND c.first_row + c.row_count > $3 ORDER BY c.first_row`, b.num, last, first)
	if err != nil {
		return err
	}
	for i := range n {
		number, origin := at(i)
		for len(chunks) > 0 && number >= chunks[0].first+int64(len(chunks[0].origins)) {
			chunks = chunks[1:]
		}
		if len(chunks) == 0 || number < chunks[0].first {
			return fmt.Errorf("nothing says where row %d of batch %q comes from", number, b.ID)
		}
		*origin = chunks[0].origins[number-chunks[0].first]
	}
	return nil
}

func unpackOrigins(b []byte) ([]int64, error) {
	var all []int64
	for len(b) > 0 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errors.New("where rows come from is not as it was written")
		}
		all, b = append(all, int64(v)), b[n:]
	}
	return all, nil
}
