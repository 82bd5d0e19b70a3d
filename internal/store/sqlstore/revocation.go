package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// Revoke implements revocation.Store.
func (s *Store) Revoke(ctx context.Context, group []*revocation.Entry) error {
	return s.update(ctx, func(t *tx) error {
		for _, e := range group {
			var err error
			if e.Err, err = t.enter(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// enter stores an entry with its event and their leaves, or returns as refused why
// it may not be.
func (t *tx) enter(e *revocation.Entry) (refused, err error) {
	issuer, err := t.s.issuerInfo(context.Background(), e.Issuer)
	if pki.KindOf(err) == pki.NotFound {
		return pki.Errorf(pki.NotFound, "no certificate with serial %s", e.Serial), nil
	}
	if err != nil {
		return nil, err
	}
	who, err := t.s.findRef(context.Background(), tenantRef(e.Tenant))
	if err != nil {
		return nil, err
	}
	notAfter, err := one(context.Background(), t, scanInt,
		`SELECT not_after FROM certificate WHERE serial = $1 AND issuer = $2 AND (tenant = $3 OR owner = $3)`,
		e.Serial[:], issuer.num, who)
	if _, err := found(notAfter, err, "certificate with serial %s", e.Serial); err != nil {
		if pki.KindOf(err) == pki.NotFound {
			return err, nil
		}
		return nil, err
	}
	e.Shard, e.NotAfter = e.Serial.Shard(issuer.shards), fromMicros(notAfter)
	latest, err := latestEntry(context.Background(), t, issuer, e.Issuer, e.Serial)
	if err != nil {
		return nil, err
	}
	if e.N, err = revocation.Next(latest, e.Reason); err != nil {
		return err, nil
	}
	run := leafRun{tenant: issuer.tenant, kind: leafRevocation}
	if err := t.revoke(&e.Revocation, issuer.num, &run); err != nil {
		return nil, err
	}
	if err := t.leaves(&run, e.At); err != nil {
		return nil, err
	}
	return nil, t.event(e.Event)
}

// revoke inserts an entry and adds its leaf to a run. The entries of a run follow
// each other.
func (t *tx) revoke(r *pki.Revocation, issuer int64, run *leafRun) error {
	seq, err := one(context.Background(), t, scanInt,
		`INSERT INTO revocation (issuer, serial, n, reason, at, shard, not_after) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING seq`,
		issuer, r.Serial[:], r.N, r.Reason, micros(r.At), r.Shard, micros(r.NotAfter))
	if err != nil {
		return fmt.Errorf("storing a revocation: %w", err)
	}
	if run.count == 0 {
		run.ref = seq
	}
	leaf := audit.OfRevocation(r)
	run.add(&audit.Leaf{Revocation: &leaf})
	return t.newest(issuer, r.Shard, seq)
}

// newest notes the sequence number of a shard's newest entry.
func (t *tx) newest(issuer int64, shard int, seq int64) error {
	_, err := t.exec(`INSERT INTO crl_shard (issuer, shard, number, newest) VALUES ($1, $2, 0, $3)
		ON CONFLICT (issuer, shard) DO UPDATE SET newest = excluded.newest`, issuer, shard, seq)
	if err != nil {
		return fmt.Errorf("noting a shard's newest revocation: %w", err)
	}
	return nil
}

// latestEntry returns the latest entry of a serial, nil where there is none. The
// shard, which follows from the serial, is in front in the one index there is.
func latestEntry(ctx context.Context, from source, issuer issuerInfo, id pki.IssuerID, serial pki.Serial) (*pki.Revocation, error) {
	r, err := one(ctx, from, func(row row) (*pki.Revocation, error) {
		r := &pki.Revocation{Issuer: id, Serial: serial}
		return r, row.Scan(&r.N, &r.Reason, intoTime{&r.At}, &r.Shard, intoTime{&r.NotAfter})
	}, `SELECT n, reason, at, shard, not_after FROM revocation WHERE issuer = $1 AND shard = $2 AND serial = $3 ORDER BY n DESC LIMIT 1`,
		issuer.num, serial.Shard(issuer.shards), serial[:])
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading a revocation: %w", err)
	}
	return r, nil
}

// Status implements revocation.Store.
func (s *Store) Status(ctx context.Context, id pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	issuer, err := s.issuerInfo(ctx, id)
	if pki.KindOf(err) == pki.NotFound {
		return revocation.Status{}, nil
	}
	if err != nil {
		return revocation.Status{}, err
	}
	r, err := latestEntry(ctx, s.read, issuer, id, serial)
	if err != nil {
		return revocation.Status{}, err
	}
	if r != nil {
		status := revocation.Status{Known: true, Entries: r.N, NotAfter: r.NotAfter}
		if r.Reason != pki.RemoveFromCRL {
			status.Revocation = r
		}
		return status, nil
	}
	notAfter, err := one(ctx, s.read, scanInt, `SELECT not_after FROM certificate WHERE serial = $1 AND issuer = $2`, serial[:], issuer.num)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return revocation.Status{}, nil
	case err != nil:
		return revocation.Status{}, fmt.Errorf("reading a status: %w", err)
	}
	return revocation.Status{Known: true, NotAfter: fromMicros(notAfter)}, nil
}

// latestUpTo is the condition that an entry of r is its certificate's latest, of
// those up to a sequence number.
const latestUpTo = ` NOT EXISTS (SELECT 1 FROM revocation l
	WHERE l.issuer = r.issuer AND l.shard = r.shard AND l.serial = r.serial AND l.n > r.n AND l.seq <= $4) `

// Revoked implements revocation.Store.
func (s *Store) Revoked(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, after pki.Serial, limit int) ([]pki.Revocation, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	entries, err := list(ctx, s.read, func(row row) (pki.Revocation, error) {
		r := pki.Revocation{Issuer: issuer, Shard: shard}
		return r, row.Scan(intoArray(r.Serial[:]), &r.N, &r.Reason, intoTime{&r.At}, intoTime{&r.NotAfter})
	}, `SELECT serial, n, reason, at, not_after FROM revocation r
		WHERE issuer = $1 AND shard = $2 AND serial > $3 AND seq <= $4 AND not_after >= $5 AND reason <> $7 AND`+latestUpTo+`
		ORDER BY serial LIMIT $6`, num, shard, after[:], upto, micros(now), limit, pki.RemoveFromCRL)
	if err != nil {
		return nil, fmt.Errorf("listing revocations: %w", err)
	}
	return entries, nil
}

// Changed implements revocation.Store. It reads the entries of all shards since a
// sequence number rather than all of one shard's: hence the signs, which keep the
// index of shards out of it.
func (s *Store) Changed(ctx context.Context, issuer pki.IssuerID, shard int, since, upto int64, now time.Time, limit int) (entries []pki.Revocation, last int64, err error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, 0, err
	}
	last = upto
	entries, err = list(ctx, s.read, func(row row) (pki.Revocation, error) {
		r := pki.Revocation{Issuer: issuer, Shard: shard}
		return r, row.Scan(&last, intoArray(r.Serial[:]), &r.N, &r.Reason, intoTime{&r.At}, intoTime{&r.NotAfter})
	}, `SELECT seq, serial, n, reason, at, not_after FROM revocation r
		WHERE +issuer = $1 AND +shard = $2 AND seq > $3 AND seq <= $4 AND not_after >= $5 AND`+latestUpTo+`
		ORDER BY seq LIMIT $6`, num, shard, since, upto, micros(now), limit)
	if err != nil {
		return nil, 0, fmt.Errorf("listing changed revocations: %w", err)
	}
	if len(entries) < limit {
		last = upto
	}
	return entries, last, nil
}
