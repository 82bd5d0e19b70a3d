package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// PutToken implements access.TokenStore.
func (s *Store) PutToken(ctx context.Context, k *access.Token, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`INSERT INTO token (id, tenant, name, maker, hash, created, expires, revoked)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			k.ID, k.Tenant, k.Name, k.Maker, k.Hash[:], micros(k.Created), micros(k.Expires), micros(k.Revoked))
		switch {
		case err != nil:
			return fmt.Errorf("storing token %s: %w", k.ID, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is a token %q already", k.ID)
		}
		if err := t.putGrants(k.Grants); err != nil {
			return err
		}
		if e.Tenant != k.Tenant { // the parent's, which appointed somebody
			return t.eventOfBoth(k.Tenant, e)
		}
		return t.event(e)
	})
}

const selectToken = `SELECT id, tenant, name, maker, hash, created, expires, revoked FROM token `

func scanToken(row row) (*access.Token, error) {
	k := new(access.Token)
	err := row.Scan(&k.ID, &k.Tenant, &k.Name, &k.Maker, intoArray(k.Hash[:]),
		intoTime{&k.Created}, intoTime{&k.Expires}, intoTime{&k.Revoked})
	return k, err
}

// TokenByHash implements access.TokenStore.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (*access.Token, error) {
	k, err := one(ctx, s.read, scanToken, selectToken+`WHERE hash = $1`, hash[:])
	if err == nil {
		k.Grants, err = list(ctx, s.read, scanGrant, selectGrant+`WHERE g.tenant = $1 AND g.principal = $2 ORDER BY g.id`, k.Tenant, k.Principal())
	}
	return found(k, err, "such token")
}

// Token implements access.TokenStore.
func (s *Store) Token(ctx context.Context, tenant pki.TenantID, id pki.TokenID) (*access.Token, error) {
	k, err := one(ctx, s.read, scanToken, selectToken+`WHERE tenant = $1 AND id = $2`, tenant, id)
	if err == nil {
		k.Grants, err = list(ctx, s.read, scanGrant, selectGrant+`WHERE g.tenant = $1 AND g.principal = $2 ORDER BY g.id`, k.Tenant, k.Principal())
	}
	return found(k, err, "token %q", id)
}

// Tokens implements access.TokenStore; the newest come first.
func (s *Store) Tokens(ctx context.Context, tenant pki.TenantID) ([]*access.Token, error) {
	all, err := list(ctx, s.read, scanToken, selectToken+`WHERE tenant = $1 ORDER BY id DESC`, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	of, err := s.grantsOf(ctx, selectGrant+`WHERE g.tenant = $1 AND g.principal LIKE 'token:%' ORDER BY g.id`, tenant)
	for _, k := range all {
		k.Grants = of[holder{tenant, k.Principal()}]
	}
	return all, err
}

// RevokeToken implements access.TokenStore. Of a token that is revoked already
// nothing changes, and there is no event.
func (s *Store) RevokeToken(ctx context.Context, tenant pki.TenantID, id pki.TokenID, at time.Time, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		k, err := one(ctx, t, scanToken, selectToken+`WHERE tenant = $1 AND id = $2`, tenant, id)
		if _, err := found(k, err, "token %q", id); err != nil {
			return err
		}
		if !k.Revoked.IsZero() {
			return nil
		}
		if _, err := t.exec(`UPDATE token SET revoked = $1 WHERE tenant = $2 AND id = $3`, micros(at), tenant, id); err != nil {
			return fmt.Errorf("revoking token %s: %w", id, err)
		}
		return t.event(e)
	})
}
