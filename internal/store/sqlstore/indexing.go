package sqlstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

// AddIndexes implements hierarchy.Store.
func (s *Store) AddIndexes(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID, indexes []pki.SearchIndex, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		a, err := t.authority(tenant, id)
		if err != nil {
			return err
		}
		if a.Indexing != nil {
			return pki.Errorf(pki.Conflict, "the indexes %v are being made for the authority %s: others can be added when they are there", a.Indexing.Indexes, a.Name)
		}
		for _, index := range indexes {
			if slices.Contains(a.Indexes, index) {
				return pki.Errorf(pki.Conflict, "the authority %s keeps the index %s already", a.Name, index)
			}
		}
		if _, err := t.exec(`UPDATE authority SET indexing = $1, indexed = 0, index_bound = 0 WHERE id = $2`, joined(indexes), id); err != nil {
			return fmt.Errorf("adding indexes to authority %s: %w", id, err)
		}
		return t.event(e)
	})
}

func (t *tx) authority(tenant pki.TenantID, id pki.AuthorityID) (*pki.Authority, error) {
	a, err := one(context.Background(), t, scanAuthority, selectAuthority+`WHERE tenant = $1 AND id = $2`, tenant, id)
	return found(a, err, "authority %q", id)
}

// Indexings implements hierarchy.Store.
func (s *Store) Indexings(ctx context.Context) ([]*pki.Authority, error) {
	all, err := list(ctx, s.read, scanAuthority, selectAuthority+`WHERE indexing <> '' ORDER BY tenant, name`)
	if err != nil {
		return nil, fmt.Errorf("looking for indexes that are being made: %w", err)
	}
	return all, nil
}

// AdvanceIndexing implements hierarchy.Store. Certificates are read before the
// transaction, so that the writer is held for the index's rows alone. One that is damaged,
// which the checker finds, gets only what its row says.
func (s *Store) AdvanceIndexing(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID, limit int, done pki.Event) (seen int, made bool, err error) {
	a, err := s.Authority(ctx, tenant, id)
	switch {
	case err != nil:
		return 0, false, err
	case a.Indexing == nil:
		return 0, false, pki.Errorf(pki.Conflict, "no index is being made for the authority %s", a.Name)
	case a.Indexing.Total == 0:
		made, err = s.beginIndexing(ctx, a, done)
		return 0, made, err
	}
	rows, err := list(ctx, s.read, scanCertificate, selectCertificate+`WHERE c.id > $1 AND c.id <= $2 ORDER BY c.id LIMIT $3`,
		a.Indexing.Done, a.Indexing.Total, limit)
	if err != nil {
		return 0, false, fmt.Errorf("reading certificates to index them: %w", err)
	}
	issuers, err := list(ctx, s.read, scanInt, `SELECT num FROM issuer WHERE authority = $1`, id)
	if err != nil {
		return 0, false, fmt.Errorf("reading the issuers of authority %s: %w", a.Name, err)
	}
	through := a.Indexing.Total
	if len(rows) == limit {
		through = rows[limit-1].id
	}
	theirs := make(map[int64]*indexedItem)
	for _, row := range rows {
		if !slices.Contains(issuers, row.issuer) {
			continue
		}
		x := &indexedItem{tenant: row.tenant, owner: row.owner, notAfter: row.cert.NotAfter}
		switch c, err := s.certificate(ctx, row); {
		case err == nil:
			x.sum, x.der = sha256.Sum256(c.DER), c.DER
		case !errors.Is(err, errDamaged) && !errors.Is(err, errNoName):
			return 0, false, err
		}
		theirs[row.id] = x
	}
	return len(rows), through == a.Indexing.Total, s.update(ctx, func(t *tx) error {
		if err := t.indexed(a, through); err != nil {
			return err
		}
		// Of those that were read some can be archived by now.
		left, err := list(ctx, t, scanInt, `SELECT id FROM certificate WHERE id > $1 AND id <= $2`, a.Indexing.Done, through)
		if err != nil {
			return fmt.Errorf("reading which certificates are left: %w", err)
		}
		for _, id := range left {
			if x := theirs[id]; x != nil {
				if err := t.index(a.Indexing.Indexes, id, x); err != nil {
					return err
				}
			}
		}
		if through < a.Indexing.Total {
			return nil
		}
		return t.endIndexing(a, done)
	})
}

// beginIndexing notes which certificates were there before: those of transactions before
// this one. Later ones are recorded by what issuerInfo says from now on.
func (s *Store) beginIndexing(ctx context.Context, a *pki.Authority, done pki.Event) (none bool, err error) {
	err = s.update(ctx, func(t *tx) error {
		s.issuers.forget()
		last, err := one(ctx, t, scanInt, `SELECT coalesce(max(id), 0) FROM certificate`)
		if err != nil {
			return fmt.Errorf("reading the last certificate's row: %w", err)
		}
		if none = last == 0; none {
			return t.endIndexing(a, done)
		}
		_, err = t.exec(`UPDATE authority SET index_bound = $1 WHERE id = $2 AND indexing <> '' AND index_bound = 0`, last, a.ID)
		return err
	})
	return none, err
}

// indexed notes how far the indexes of an authority have come since it was read.
func (t *tx) indexed(a *pki.Authority, through int64) error {
	rows, err := t.exec(`UPDATE authority SET indexed = $1 WHERE id = $2 AND indexing = $3 AND indexed = $4 AND index_bound = $5`,
		through, a.ID, joined(a.Indexing.Indexes), a.Indexing.Done, a.Indexing.Total)
	switch {
	case err != nil:
		return fmt.Errorf("noting how far an index has come: %w", err)
	case rows == 0:
		return pki.Errorf(pki.Conflict, "somebody else has gone on with the indexes of authority %s", a.Name)
	}
	return nil
}

func (t *tx) endIndexing(a *pki.Authority, e pki.Event) error {
	all := slices.Sorted(slices.Values(slices.Concat(a.Indexes, a.Indexing.Indexes)))
	rows, err := t.exec(`UPDATE authority SET indexes = $1, indexing = '', indexed = 0, index_bound = 0 WHERE id = $2 AND indexing = $3`,
		joined(all), a.ID, joined(a.Indexing.Indexes))
	switch {
	case err != nil:
		return fmt.Errorf("ending the making of indexes: %w", err)
	case rows == 0:
		return pki.Errorf(pki.Conflict, "somebody else has made the indexes of authority %s", a.Name)
	}
	return t.event(e)
}
