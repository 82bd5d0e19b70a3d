package sqlstore

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
)

// PutAuthority implements hierarchy.Store.
func (s *Store) PutAuthority(ctx context.Context, a *pki.Authority, i *pki.Issuer, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`INSERT INTO authority (id, tenant, name, common_name, kind, mode, parent, profile, key_kind,
				status_url, shards, sign_check, random_serials, state, created, deltas, indexes)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING`,
			a.ID, a.Tenant, a.Name, a.CommonName, a.Kind, a.Mode, a.Parent, a.Profile, a.KeyKind,
			a.StatusURL, a.Shards, a.SignCheck, number(a.RandomSerials), a.State, micros(a.Created), number(a.Deltas), joined(a.Indexes))
		switch {
		case err != nil:
			return fmt.Errorf("storing authority %s: %w", a.ID, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is an authority %q already", a.Name)
		}
		if err := t.putIssuer(i); err != nil {
			return err
		}
		return t.event(e)
	})
}

const selectAuthority = `SELECT id, tenant, name, common_name, kind, mode, parent, profile, key_kind,
	status_url, shards, sign_check, random_serials, state, created, deltas, indexes, indexing, indexed, index_bound FROM authority `

func scanAuthority(row row) (*pki.Authority, error) {
	a := new(pki.Authority)
	var indexes, indexing string
	var n pki.Indexing
	err := row.Scan(&a.ID, &a.Tenant, &a.Name, &a.CommonName, &a.Kind, &a.Mode, &a.Parent, &a.Profile, &a.KeyKind,
		&a.StatusURL, &a.Shards, &a.SignCheck, &a.RandomSerials, &a.State, intoTime{&a.Created}, &a.Deltas, &indexes, &indexing, &n.Done, &n.Total)
	a.Indexes = split[pki.SearchIndex](indexes)
	if n.Indexes = split[pki.SearchIndex](indexing); len(n.Indexes) > 0 {
		a.Indexing = &n
	}
	return a, err
}

// Authority implements hierarchy.Store.
func (s *Store) Authority(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID) (*pki.Authority, error) {
	a, err := one(ctx, s.read, scanAuthority, selectAuthority+`WHERE tenant = $1 AND id = $2`, tenant, id)
	return found(a, err, "authority %q", id)
}

// AuthorityByName implements hierarchy.Store.
func (s *Store) AuthorityByName(ctx context.Context, tenant pki.TenantID, name string) (*pki.Authority, error) {
	a, err := one(ctx, s.read, scanAuthority, selectAuthority+`WHERE tenant = $1 AND name = $2`, tenant, name)
	return found(a, err, "authority %q", name)
}

// Authorities implements hierarchy.Store; they come in order of name.
func (s *Store) Authorities(ctx context.Context, tenant pki.TenantID) ([]*pki.Authority, error) {
	all, err := list(ctx, s.read, scanAuthority, selectAuthority+`WHERE tenant = $1 ORDER BY name`, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing authorities: %w", err)
	}
	return all, nil
}

// SetAuthorityState implements hierarchy.Store.
func (s *Store) SetAuthorityState(ctx context.Context, tenant pki.TenantID, id pki.AuthorityID, from, to pki.AuthorityState, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		a, err := t.authority(tenant, id)
		if err != nil {
			return err
		}
		rows, err := t.exec(`UPDATE authority SET state = $1 WHERE tenant = $2 AND id = $3 AND state = $4`, to, tenant, id, from)
		switch {
		case err != nil:
			return fmt.Errorf("setting the state of authority %s: %w", id, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "the authority is %s, not %s", a.State, from)
		}
		return t.event(e)
	})
}
