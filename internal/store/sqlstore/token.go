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
		rows, err := t.exec(`INSERT INTO token (id, tenant, name, role, endpoints, hash, created, expires, revoked)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
			k.ID, k.Tenant, k.Name, k.Role, joined(k.Endpoints), k.Hash[:], micros(k.Created), micros(k.Expires), micros(k.Revoked))
		switch {
		case err != nil:
			return fmt.Errorf("storing token %s: %w", k.ID, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is a token %q already", k.ID)
		}
		return t.event(e)
	})
}

const selectToken = `SELECT id, tenant, name, role, endpoints, hash, created, expires, revoked FROM token `

func scanToken(row row) (*access.Token, error) {
	k := new(access.Token)
	var endpoints string
	err := row.Scan(&k.ID, &k.Tenant, &k.Name, &k.Role, &endpoints, intoArray(k.Hash[:]),
		intoTime{&k.Created}, intoTime{&k.Expires}, intoTime{&k.Revoked})
	k.Endpoints = split[string](endpoints)
	return k, err
}

// TokenByHash implements access.TokenStore.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (*access.Token, error) {
	k, err := one(ctx, s.read, scanToken, selectToken+`WHERE hash = $1`, hash[:])
	return found(k, err, "such token")
}

// Tokens implements access.TokenStore; the newest come first.
func (s *Store) Tokens(ctx context.Context, tenant pki.TenantID) ([]*access.Token, error) {
	all, err := list(ctx, s.read, scanToken, selectToken+`WHERE tenant = $1 ORDER BY id DESC`, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	return all, nil
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
