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
	var issued []issuedRow
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
		issued, err = list(ctx, from, scanIssued, issuedRows, b.num, after, limit)
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
	certs := make([]batch.Issued, len(issued))
	results := make([]batch.Result, 0, len(certs)+len(archived)+len(refused)+len(cancelled))
	for i := range issued {
		if err := s.issuedOf(ctx, &issued[i], &certs[i]); err != nil {
			return nil, fmt.Errorf("row %d: %w", issued[i].row, err)
		}
		results = append(results, batch.Result{Row: issued[i].row, Device: issued[i].device, Certificate: &certs[i]})
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

// issuedRows reads no more of a certificate than results have.
const issuedRows = `SELECT c.row_no, c.device, c.issuer, c.serial, c.der FROM certificate c
	WHERE c.batch = $1 AND c.row_no > $2 ORDER BY c.row_no LIMIT $3`

// An issuedRow is a certificate as issuedRows has it.
type issuedRow struct {
	row    int64
	device pki.DeviceID
	issuer int64
	serial pki.Serial
	packed []byte
}

func scanIssued(row row) (r issuedRow, err error) {
	var device string // the driver's own type costs no conversion
	err = row.Scan(&r.row, &device, &r.issuer, intoArray(r.serial[:]), intoBytes{&r.packed})
	r.device = pki.DeviceID(device)
	return r, err
}

// issuedOf sets what a row stands for.
func (s *Store) issuedOf(ctx context.Context, r *issuedRow, c *batch.Issued) error {
	issuer, err := s.refOf(ctx, s.read, r.issuer)
	if err != nil {
		return err
	}
	c.Issuer, c.Serial = pki.IssuerID(issuer.text), r.serial
	if c.DER, err = unpack(r.packed, func(num int64) (*reference, error) { return s.referenceByNum(ctx, s.read, num) }); err != nil {
		return fmt.Errorf("certificate %s of issuer %s: %w", c.Serial, c.Issuer, err)
	}
	return nil
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
