package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

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

// ofList restricts crl to the list of an issuer's ($1) shard ($2).
func ofList(delta bool) string {
	if delta {
		return ` FROM crl WHERE issuer = $1 AND shard = $2 AND base > 0 `
	}
	return ` FROM crl WHERE issuer = $1 AND shard = $2 AND base = 0 `
}

// latestCRL returns the number of a list's latest CRL, which stays the latest until the
// transaction ends: whoever stores another, or parts of one, changes the shard's row
// first, and so waits where transactions run side by side.
func (t *tx) latestCRL(issuer int64, shard int, delta bool) (int64, error) {
	if _, err := t.exec(`UPDATE crl_shard SET number = number WHERE issuer = $1 AND shard = $2`, issuer, shard); err != nil {
		return 0, err
	}
	return one(context.Background(), t, scanInt, `SELECT coalesce(max(number), 0)`+ofList(delta), issuer, shard)
}

// PutCRL implements revocation.Store.
func (s *Store) PutCRL(ctx context.Context, c *revocation.CRL, e *pki.Event) error {
	info, err := s.shardOf(ctx, c.Issuer, c.Shard)
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		latest, err := t.latestCRL(info.num, c.Shard, c.Delta)
		switch {
		case err != nil:
			return fmt.Errorf("reading the latest CRL's number: %w", err)
		case latest >= c.Number:
			return pki.Errorf(pki.Conflict, "CRL number %d of the shard is there already", latest)
		case c.Parts != nil && c.Parts.Of != 0 && c.Parts.Of != latest:
			return pki.Errorf(pki.Conflict, "the parts are of CRL number %d of the shard, and number %d is there", c.Parts.Of, latest)
		}
		if _, err := t.exec(`DELETE`+ofList(c.Delta)+`AND number < $3`, info.num, c.Shard, latest); err != nil {
			return fmt.Errorf("dropping old CRLs: %w", err)
		}
		if _, err := t.exec(`UPDATE crl SET der = $1, head = 0 WHERE issuer = $2 AND shard = $3 AND number = $4`, []byte{}, info.num, c.Shard, latest); err != nil {
			return fmt.Errorf("dropping an old CRL: %w", err)
		}
		whole, head := bytesOf(c.DER), 0
		if c.Parts != nil {
			whole, head = slices.Concat(c.Parts.Head, c.Parts.Tail), len(c.Parts.Head)
		}
		if _, err := t.exec(`INSERT INTO crl (issuer, shard, number, base, covers, entries, this_update, next_update, der, head)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, info.num, c.Shard, c.Number, c.Base, c.Covers, c.Entries,
			micros(c.ThisUpdate), micros(c.NextUpdate), whole, head); err != nil {
			return fmt.Errorf("storing a CRL: %w", err)
		}
		if !c.Delta {
			if err := t.putParts(info.num, c, latest); err != nil {
				return fmt.Errorf("storing the parts of a CRL: %w", err)
			}
		}
		if _, err := t.exec(`UPDATE crl_shard SET covers = $1, due = CASE WHEN due = 0 AND $6 = 1 THEN 0 ELSE $2 END, made = $3 WHERE issuer = $4 AND shard = $5`,
			c.Due.Above, micros(c.Due.At), micros(c.ThisUpdate), info.num, c.Shard, number(c.Due.KeepRenewed)); err != nil {
			return fmt.Errorf("noting when a shard is due: %w", err)
		}
		if e == nil {
			return nil
		}
		return t.event(*e)
	})
}

// CRLNumber implements revocation.Store. The index alone has the answer.
func (s *Store) CRLNumber(ctx context.Context, l revocation.List) (int64, error) {
	num, err := s.findRef(ctx, issuerRef(l.Issuer))
	if err != nil {
		return 0, err
	}
	number, err := one(ctx, s.read, scanInt, `SELECT number`+ofList(l.Delta)+`ORDER BY number DESC LIMIT 1`, num, l.Shard)
	return found(number, err, "CRL %s", l)
}

// Shards implements revocation.Store.
func (s *Store) Shards(ctx context.Context, issuer pki.IssuerID) ([]revocation.ShardState, error) {
	info, err := s.issuerInfo(ctx, issuer)
	if err != nil {
		return nil, err
	}
	return s.shards(ctx, info, 0, info.shards)
}

// Shard implements revocation.Store.
func (s *Store) Shard(ctx context.Context, issuer pki.IssuerID, shard int) (revocation.ShardState, error) {
	info, err := s.shardOf(ctx, issuer, shard)
	if err != nil {
		return revocation.ShardState{}, err
	}
	states, err := s.shards(ctx, info, shard, 1)
	if err != nil {
		return revocation.ShardState{}, err
	}
	return states[0], nil
}

// shards returns the states of n shards from first on.
func (s *Store) shards(ctx context.Context, issuer issuerInfo, first, n int) ([]revocation.ShardState, error) {
	states := make([]revocation.ShardState, n)
	for i := range states {
		states[i] = revocation.ShardState{Shard: first + i, Renewed: true}
	}
	_, err := list(ctx, s.read, func(row row) (none struct{}, err error) {
		var shard int
		var newest, due int64
		if err := row.Scan(&shard, &newest, &due); err != nil {
			return none, err
		}
		st := &states[shard-first]
		st.Newest, st.Renewed = newest, due == 0
		return none, nil
	}, `SELECT shard, newest, due FROM crl_shard WHERE issuer = $1 AND shard >= $2 AND shard < $3`, issuer.num, first, first+n)
	if err != nil {
		return nil, fmt.Errorf("reading the newest revocations: %w", err)
	}
	// The order is that of the index from which base is read, apart from the row.
	_, err = list(ctx, s.read, func(row row) (none struct{}, err error) {
		var shard int
		var base int64
		var e revocation.Edition
		if err := row.Scan(&shard, &base, &e.Number, &e.Covers, &e.Entries, intoTime{&e.ThisUpdate}, intoTime{&e.NextUpdate}); err != nil {
			return none, err
		}
		switch st := &states[shard-first]; {
		case base > 0 && e.Number > st.Delta.Number:
			st.Delta = e
		case base == 0:
			st.Before, st.Edition = st.Edition, e
		}
		return none, nil
	}, `SELECT c.shard, l.base, c.number, c.covers, c.entries, c.this_update, c.next_update
		FROM (SELECT issuer, shard, base, number FROM crl WHERE issuer = $1 AND shard >= $2 AND shard < $3) l
		JOIN crl c ON c.issuer = l.issuer AND c.shard = l.shard AND c.number = l.number
		ORDER BY l.shard, l.base, l.number`, issuer.num, first, first+n)
	if err != nil {
		return nil, fmt.Errorf("reading the latest CRLs: %w", err)
	}
	return states, nil
}

// DueShards implements revocation.Store. It goes from the issuers to the index of
// each reason to be due.
func (s *Store) DueShards(ctx context.Context, now time.Time, limit int) ([]revocation.List, error) {
	const from = ` SELECT s.issuer, s.shard, s.due FROM issuer i CROSS JOIN crl_shard s
		WHERE i.key_uri <> $1 AND i.not_after >= $2 AND s.issuer = i.num AND `
	due, err := list(ctx, s.read, func(row row) (l revocation.List, err error) {
		return l, row.Scan(&l.Issuer, &l.Shard)
	}, `WITH due AS (`+from+`s.due <= $2 UNION`+from+`s.newest > s.covers UNION`+from+`s.made > $2),
		ranked AS (SELECT issuer, shard, row_number() OVER (PARTITION BY issuer ORDER BY due, shard) AS place FROM due)
		SELECT i.id, r.shard FROM ranked r JOIN issuer i ON i.num = r.issuer WHERE r.place <= $3 ORDER BY r.issuer, r.place`,
		pki.OfflineKey, micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for CRLs that are due: %w", err)
	}
	return due, nil
}

// Renew implements revocation.Store.
func (s *Store) Renew(ctx context.Context, issuer pki.IssuerID, shard int, e pki.Event) error {
	info, err := s.issuerInfo(ctx, issuer)
	if shard != revocation.AllShards && err == nil {
		_, err = s.shardOf(ctx, issuer, shard)
	}
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		if _, err := t.exec(`UPDATE crl_shard SET due = 0 WHERE issuer = $1 AND ($2 < 0 OR shard = $2)`, info.num, shard); err != nil {
			return fmt.Errorf("having CRLs be due: %w", err)
		}
		return t.event(e)
	})
}

// addShards makes the rows of an issuer's shards, which are due from then on.
func (t *tx) addShards(issuer int64, shards int) error {
	_, err := t.exec(`WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < $2)
		INSERT INTO crl_shard (issuer, shard, number, newest) SELECT $1, n, 0, 0 FROM s WHERE true
		ON CONFLICT (issuer, shard) DO NOTHING`, issuer, shards)
	if err != nil {
		return fmt.Errorf("adding CRL shards: %w", err)
	}
	return nil
}
