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

// Revoke implements revocation.Store. It also sets Shard and NotAfter, which
// follow from the certificate.
func (s *Store) Revoke(ctx context.Context, tenant pki.TenantID, r *pki.Revocation, e pki.Event) error {
	issuer, err := s.issuerInfo(ctx, r.Issuer)
	if pki.KindOf(err) == pki.NotFound {
		return pki.Errorf(pki.NotFound, "no certificate with serial %s", r.Serial)
	}
	if err != nil {
		return err
	}
	who, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		notAfter, err := one(ctx, t, scanInt,
			`SELECT not_after FROM certificate WHERE serial = $1 AND issuer = $2 AND (tenant = $3 OR owner = $3)`,
			r.Serial[:], issuer.num, who)
		if _, err := found(notAfter, err, "certificate with serial %s", r.Serial); err != nil {
			return err
		}
		// Every reason there is so far is final.
		entries, err := one(ctx, t, scanInt, `SELECT count(*) FROM revocation WHERE issuer = $1 AND serial = $2`, issuer.num, r.Serial[:])
		switch {
		case err != nil:
			return fmt.Errorf("reading revocations: %w", err)
		case entries > 0:
			return pki.Errorf(pki.AlreadyRevoked, "the certificate is revoked already")
		}
		r.N, r.Shard, r.NotAfter = 1, r.Serial.Shard(issuer.shards), fromMicros(notAfter)
		run := leafRun{tenant: issuer.tenant, kind: leafRevocation}
		if err := t.revoke(r, issuer.num, &run); err != nil {
			return err
		}
		if err := t.leaves(&run, r.At); err != nil {
			return err
		}
		return t.event(e)
	})
}

// revoke inserts an entry and adds its leaf to a run; sql.ErrNoRows where the serial
// has an entry with that N. The entries of a run follow each other.
func (t *tx) revoke(r *pki.Revocation, issuer int64, run *leafRun) error {
	seq, err := one(context.Background(), t, scanInt,
		`INSERT INTO revocation (issuer, serial, n, reason, at, shard, not_after) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING seq`,
		issuer, r.Serial[:], r.N, r.Reason, micros(r.At), r.Shard, micros(r.NotAfter))
	if err != nil {
		return fmt.Errorf("storing a revocation: %w", err)
	}
	if run.count == 0 {
		run.ref = seq
	}
	leaf := audit.OfRevocation(r)
	run.add(&audit.Leaf{Revocation: &leaf})
	_, err = t.exec(`INSERT INTO crl_shard (issuer, shard, number, newest) VALUES ($1, $2, 0, $3)
		ON CONFLICT (issuer, shard) DO UPDATE SET newest = excluded.newest`, issuer, r.Shard, seq)
	if err != nil {
		return fmt.Errorf("noting a shard's newest revocation: %w", err)
	}
	return nil
}

// Status implements revocation.Store.
func (s *Store) Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return revocation.Status{}, err
	}
	r, err := one(ctx, s.read, func(row row) (*pki.Revocation, error) {
		r := &pki.Revocation{Issuer: issuer, Serial: serial}
		return r, row.Scan(&r.N, &r.Reason, intoTime{&r.At}, &r.Shard, intoTime{&r.NotAfter})
	}, `SELECT n, reason, at, shard, not_after FROM revocation WHERE issuer = $1 AND serial = $2 ORDER BY n DESC LIMIT 1`, num, serial[:])
	if err == nil {
		return revocation.Status{Known: true, Revocation: r, NotAfter: r.NotAfter}, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return revocation.Status{}, fmt.Errorf("reading a revocation: %w", err)
	}
	notAfter, err := one(ctx, s.read, scanInt, `SELECT not_after FROM certificate WHERE serial = $1 AND issuer = $2`, serial[:], num)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return revocation.Status{}, nil
	case err != nil:
		return revocation.Status{}, fmt.Errorf("reading a status: %w", err)
	}
	return revocation.Status{Known: true, NotAfter: fromMicros(notAfter)}, nil
}

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
		WHERE issuer = $1 AND shard = $2 AND serial > $3 AND seq <= $4 AND not_after >= $5
			AND NOT EXISTS (SELECT 1 FROM revocation l WHERE l.issuer = r.issuer AND l.serial = r.serial AND l.n > r.n AND l.seq <= $4)
		ORDER BY serial LIMIT $6`, num, shard, after[:], upto, micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("listing revocations: %w", err)
	}
	return entries, nil
}
