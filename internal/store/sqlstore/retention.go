package sqlstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/tbs"
)

// Keep implements retention.Store.
func (s *Store) Keep(ctx context.Context, tenant pki.TenantID) (time.Duration, error) {
	keep, err := one(ctx, s.read, scanInt, `SELECT keep_expired FROM tenant WHERE id = $1`, tenant)
	keep, err = found(keep, err, "tenant %q", tenant)
	return time.Duration(keep) * time.Microsecond, err
}

// SetKeep implements retention.Store.
func (s *Store) SetKeep(ctx context.Context, tenant pki.TenantID, from, to time.Duration, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE tenant SET keep_expired = $1 WHERE id = $2 AND keep_expired = $3`, to.Microseconds(), tenant, from.Microseconds())
		switch {
		case err != nil:
			return fmt.Errorf("changing the retention of tenant %s: %w", tenant, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "somebody else has changed it just now: look at it again")
		}
		return t.event(e)
	})
}

// expired is what can be archived but for its lot and its anchor; $1 is the tenant,
// $2 the time.
const expired = ` FROM certificate c JOIN intent i ON i.num = c.intent
	LEFT JOIN leaf_group g ON g.kind = 'certificates' AND g.ref = c.intent LEFT JOIN log l ON l.tenant = g.tenant
	WHERE c.tenant = $1 AND c.owner = $1 AND c.not_after < $2 AND i.state = 'closed' `

const (
	lotReported = `(c.lot = 0 OR EXISTS (SELECT 1 FROM lot x JOIN lot_report p ON p.tenant = x.tenant AND p.lot = x.name
		WHERE x.num = c.lot AND p.report <> ''))`
	logAnchored = `(g.first_index >= 0 AND g.first_index + g.count <= l.anchored_size)`
)

// CountDue implements retention.Store.
func (s *Store) CountDue(ctx context.Context, tenant pki.TenantID, before time.Time) (retention.Due, error) {
	num, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return retention.Due{}, err
	}
	due, err := one(ctx, s.read, func(row row) (d retention.Due, err error) {
		err = row.Scan(&d.Expired, &d.InOpenLots, &d.Unanchored)
		return d, err
	}, `SELECT count(*), count(CASE WHEN NOT `+lotReported+` THEN 1 END), count(CASE WHEN `+logAnchored+` THEN NULL ELSE 1 END)`+expired, num, micros(before))
	if err != nil {
		return due, fmt.Errorf("counting expired certificates: %w", err)
	}
	return due, nil
}

// LastRow implements retention.Store.
func (s *Store) LastRow(ctx context.Context) (int64, error) {
	last, err := one(ctx, s.read, scanInt, `SELECT coalesce(max(id), 0) FROM certificate`)
	if err != nil {
		return 0, fmt.Errorf("reading the last certificate's row: %w", err)
	}
	return last, nil
}

// An expiredRow is a certificate as it is archived.
type expiredRow struct {
	*storedCertificate
	index, actor int64
	request      []byte
}

// Expired implements retention.Store. The database numbers rows after the highest
// that there is: hence the last one stays.
func (s *Store) Expired(ctx context.Context, q retention.Search) ([]retention.Entry, error) {
	num, err := s.findRef(ctx, tenantRef(q.Tenant))
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, s.read, func(row row) (r expiredRow, err error) {
		more := scannedAfter{row, []any{&r.index, &r.actor, &r.request}}
		r.storedCertificate, err = scanCertificate(more)
		return r, err
	}, `SELECT `+certificateColumns+`, g.first_index + c.id - g.first_row, c.actor, c.request`+expired+`AND `+lotReported+` AND `+logAnchored+`
		AND c.id > $3 AND c.id <= $4 AND c.id < (SELECT max(id) FROM certificate) ORDER BY c.id`, num, micros(q.Before), q.After, q.Through)
	if err != nil {
		return nil, fmt.Errorf("looking for expired certificates: %w", err)
	}
	entries := make([]retention.Entry, 0, len(rows))
	for i := range rows {
		e, held, err := s.expiredEntry(ctx, &rows[i])
		if err != nil {
			return nil, err
		}
		if !held {
			entries = append(entries, *e)
		}
	}
	return entries, nil
}

// scannedAfter scans what follows the columns that somebody else scans.
type scannedAfter struct {
	row
	more []any
}

func (s scannedAfter) Scan(dest ...any) error { return s.row.Scan(append(dest, s.more...)...) }

// expiredEntry returns what a row stands for, and whether it is on hold.
func (s *Store) expiredEntry(ctx context.Context, r *expiredRow) (e *retention.Entry, held bool, err error) {
	c, err := s.certificate(ctx, r.storedCertificate)
	if err != nil {
		return nil, false, err
	}
	issuer, err := s.issuerInfo(ctx, c.Issuer)
	if err != nil {
		return nil, false, err
	}
	state, err := stateOf(ctx, s.read, issuer, c.Issuer, c.Serial)
	if err != nil || state.held() {
		return nil, true, err
	}
	e = &retention.Entry{Index: r.index, Row: r.id, Leaf: audit.OfCertificate(c, sha256.Sum256(c.DER)), DER: c.DER}
	by, err := s.refOf(ctx, s.read, r.actor)
	if err != nil {
		return nil, false, err
	}
	if _, e.Actor = by.asked(); len(r.request) > 0 {
		parsed, err := tbs.ParseCertificate(c.DER)
		if err != nil {
			return nil, false, err
		}
		if e.Request, err = tbs.RestoreKey(r.request, parsed.Key.SPKI()); err != nil {
			return nil, false, err
		}
	}
	return e, false, nil
}
