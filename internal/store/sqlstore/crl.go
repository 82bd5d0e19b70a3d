package sqlstore

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// shardOf returns an issuer, or NotFound where it or the shard does not exist.
func (s *Store) shardOf(ctx context.Context, issuer pki.IssuerID, shard int) (issuerInfo, error) {
	info, err := s.issuerInfo(ctx, issuer)
	if err == nil && (shard < 0 || shard >= info.shards) {
		err = pki.Errorf(pki.NotFound, "the issuer has no CRL shard %d", shard)
	}
	return info, err
}

// Shards implements revocation.Store.
func (s *Store) Shards(ctx context.Context, issuer pki.IssuerID) ([]revocation.ShardState, error) {
	info, err := s.issuerInfo(ctx, issuer)
	if err != nil {
		return nil, err
	}
	states := make([]revocation.ShardState, info.shards)
	for i := range states {
		states[i].Shard = i
	}
	read := func(text string, scan func(row, *revocation.ShardState) error) error {
		known, err := list(ctx, s.read, func(row row) (st revocation.ShardState, err error) {
			err = scan(row, &st)
			return st, err
		}, text, info.num)
		for _, st := range known {
			if st.Shard >= len(states) {
				return fmt.Errorf("issuer %s has a row for shard %d of %d", issuer, st.Shard, len(states))
			}
			st.Newest = max(st.Newest, states[st.Shard].Newest)
			states[st.Shard] = st
		}
		return err
	}
	if err := read(`SELECT shard, newest FROM crl_shard WHERE issuer = $1`, func(row row, st *revocation.ShardState) error {
		return row.Scan(&st.Shard, &st.Newest)
	}); err != nil {
		return nil, fmt.Errorf("reading the newest revocations: %w", err)
	}
	if err := read(`SELECT shard, covers, number, this_update, next_update FROM crl c WHERE issuer = $1
			AND number = (SELECT max(l.number) FROM crl l WHERE l.issuer = c.issuer AND l.shard = c.shard)`, func(row row, st *revocation.ShardState) error {
		return row.Scan(&st.Shard, &st.Covers, &st.Number, intoTime{&st.ThisUpdate}, intoTime{&st.NextUpdate})
	}); err != nil {
		return nil, fmt.Errorf("reading the latest CRLs: %w", err)
	}
	return states, nil
}

// ReserveCRLNumber implements revocation.Store. The first number is 1.
func (s *Store) ReserveCRLNumber(ctx context.Context, issuer pki.IssuerID, shard int) (int64, error) {
	info, err := s.shardOf(ctx, issuer, shard)
	if err != nil {
		return 0, err
	}
	var number int64
	err = s.update(ctx, func(t *tx) (err error) {
		number, err = one(ctx, t, scanInt, `INSERT INTO crl_shard (issuer, shard, number, newest) VALUES ($1, $2, 1, 0)
			ON CONFLICT (issuer, shard) DO UPDATE SET number = crl_shard.number + 1 RETURNING number`, info.num, shard)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reserving a CRL number: %w", err)
	}
	return number, nil
}

// PutCRL implements revocation.Store.
func (s *Store) PutCRL(ctx context.Context, c *revocation.CRL, e *pki.Event) error {
	info, err := s.shardOf(ctx, c.Issuer, c.Shard)
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		latest, err := one(ctx, t, scanInt, `SELECT coalesce(max(number), 0) FROM crl WHERE issuer = $1 AND shard = $2`, info.num, c.Shard)
		switch {
		case err != nil:
			return fmt.Errorf("reading the latest CRL's number: %w", err)
		case latest >= c.Number:
			return pki.Errorf(pki.Conflict, "CRL number %d of the shard is there already", latest)
		}
		if _, err := t.exec(`DELETE FROM crl WHERE issuer = $1 AND shard = $2 AND number < $3`, info.num, c.Shard, latest); err != nil {
			return fmt.Errorf("dropping old CRLs: %w", err)
		}
		if _, err := t.exec(`INSERT INTO crl (issuer, shard, number, covers, entries, this_update, next_update, der)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, info.num, c.Shard, c.Number, c.Covers, c.Entries,
			micros(c.ThisUpdate), micros(c.NextUpdate), bytesOf(c.DER)); err != nil {
			return fmt.Errorf("storing a CRL: %w", err)
		}
		if e == nil {
			return nil
		}
		return t.event(*e)
	})
}

// CRLNumber implements revocation.Store. The index alone has the answer.
func (s *Store) CRLNumber(ctx context.Context, issuer pki.IssuerID, shard int) (int64, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return 0, err
	}
	number, err := one(ctx, s.read, scanInt, `SELECT number FROM crl WHERE issuer = $1 AND shard = $2 ORDER BY number DESC LIMIT 1`, num, shard)
	return found(number, err, "CRL for shard %d of issuer %q", shard, issuer)
}

// CRL implements revocation.Store.
func (s *Store) CRL(ctx context.Context, issuer pki.IssuerID, shard int) (*revocation.CRL, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	c, err := one(ctx, s.read, func(row row) (*revocation.CRL, error) {
		c := &revocation.CRL{Issuer: issuer, Shard: shard}
		return c, row.Scan(&c.Number, &c.Covers, &c.Entries, intoTime{&c.ThisUpdate}, intoTime{&c.NextUpdate}, &c.DER)
	}, `SELECT number, covers, entries, this_update, next_update, der FROM crl
		WHERE issuer = $1 AND shard = $2 ORDER BY number DESC LIMIT 1`, num, shard)
	return found(c, err, "CRL for shard %d of issuer %q", shard, issuer)
}
