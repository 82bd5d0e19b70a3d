package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// Results implements batch.Store. A row of a cancelled batch has no end yet while
// an intent has its chunk. The device of a cancelled row is "": only the batch
// package can read it.
func (s *Store) Results(ctx context.Context, tenant pki.TenantID, id pki.BatchID, after int64, limit int) ([]batch.Result, error) {
	var issued []*storedCertificate
	var refused []issuance.Refusal
	var cancelled []int64
	var archived []batch.Result
	var b *storedBatch
	err := s.read.snapshot(ctx, func(from source) (err error) {
		b, err = one(ctx, from, func(row row) (*storedBatch, error) {
			b := new(storedBatch)
			return b, row.Scan(&b.num, &b.ID, &b.State, &b.RetryOf)
		}, `SELECT num, id, state, retry_of FROM batch WHERE tenant = $1 AND id = $2`, tenant, id)
		if b, err = found(b, err, "batch %q", id); err != nil {
			return err
		}
		// Of each kind the first rows up to limit: the first of all are among them.
		issued, err = list(ctx, from, scanCertificate,
			selectCertificate+`WHERE c.batch = $1 AND c.row_no > $2 ORDER BY c.row_no LIMIT $3`, b.num, after, limit)
		if err != nil {
			return err
		}
		archived, err = list(ctx, from, func(row row) (r batch.Result, err error) {
			err = row.Scan(&r.Row, &r.Archive)
			return r, err
		}, `SELECT d.row_no, a.id FROM archived d JOIN archive a ON a.num = d.archive
			WHERE d.batch = $1 AND d.batch IS NOT NULL AND d.row_no > $2 ORDER BY d.row_no LIMIT $3`, b.num, after, limit)
		if err != nil {
			return err
		}
		dry := b.State == batch.Checking || b.State == batch.Checked
		refused, err = list(ctx, from, scanRefusal,
			`SELECT r.row_no, r.device, r.kind, r.reason, r.product_line, r.lot, r.site FROM batch_refusal r JOIN batch_chunk c ON c.batch = r.batch AND c.no = r.chunk
			WHERE r.batch = $1 AND r.row_no > $2 AND (c.state = 'closed' OR $3 = 1) ORDER BY r.row_no LIMIT $4`,
			b.num, after, number(dry), limit)
		if err != nil || b.State != batch.Cancelled {
			return err
		}
		cancelled, err = unclaimedRows(ctx, from, b.num, after, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	certs, err := s.certificates(ctx, issued)
	if err != nil {
		return nil, err
	}
	results := make([]batch.Result, 0, len(certs)+len(refused)+len(cancelled))
	for _, c := range certs {
		results = append(results, batch.Result{Row: c.Row, Device: c.Device, Certificate: c})
	}
	results = append(results, archived...)
	for i := range refused {
		results = append(results, batch.Result{Row: refused[i].Row, Device: refused[i].Device, Refusal: &refused[i]})
	}
	for _, row := range cancelled {
		results = append(results, batch.Result{Row: row, Cancelled: true})
	}
	// A row that was issued or refused comes before its own cancellation, and
	// that goes.
	slices.SortStableFunc(results, func(a, b batch.Result) int { return int(a.Row - b.Row) })
	results = slices.CompactFunc(results, func(a, b batch.Result) bool { return a.Row == b.Row })
	results = results[:min(limit, len(results))]
	// Where rows come from does not change, so it may be read after the rest.
	err = s.origins(ctx, s.read, b, len(results), func(i int) (int64, *int64) { return results[i].Row, &results[i].Origin })
	if err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	return results, nil
}

func scanRefusal(row row) (issuance.Refusal, error) {
	var r issuance.Refusal
	var kind string
	err := row.Scan(&r.Row, &r.Device, &kind, &r.Reason, &r.Placement.ProductLine, &r.Placement.Lot, &r.Placement.Site)
	r.Kind = pki.ParseKind(kind)
	return r, err
}

// unclaimedRows returns the first rows after a row number, up to limit, of chunks
// that no intent has.
func unclaimedRows(ctx context.Context, from source, num, after int64, limit int) ([]int64, error) {
	type span struct{ first, count int64 }
	chunks, err := list(ctx, from, func(row row) (s span, err error) {
		err = row.Scan(&s.first, &s.count)
		return s, err
	}, `SELECT first_row, row_count FROM batch_chunk
		WHERE batch = $1 AND first_row + row_count > $2 AND state <> 'claimed' ORDER BY first_row LIMIT $3`, num, after+1, limit)
	if err != nil {
		return nil, err
	}
	var rows []int64
	for _, c := range chunks {
		for row := max(c.first, after+1); row < c.first+c.count && len(rows) < limit; row++ {
			rows = append(rows, row)
		}
	}
	return rows, nil
}
