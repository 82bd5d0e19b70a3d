package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
)

// PutTenant implements hierarchy.Store.
func (s *Store) PutTenant(ctx context.Context, n *pki.Tenant, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		if n.Parent != "" {
			if err := t.checkParent(n.Parent, n.ID); err != nil {
				return err
			}
		}
		rows, err := t.exec(`INSERT INTO tenant (id, organization, created, approvals, parent) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			n.ID, n.Organization, micros(n.Created), number(n.Approvals), n.Parent)
		switch {
		case err != nil:
			return fmt.Errorf("storing tenant %s: %w", n.ID, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is a tenant %q already", n.ID)
		}
		return t.event(e)
	})
}

// SetTenant implements hierarchy.Store.
func (s *Store) SetTenant(ctx context.Context, id pki.TenantID, n pki.TenantSettings, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE tenant SET per_second = $1, burst = $2, children = $3 WHERE id = $4`, n.PerSecond, n.Burst, n.Children, id)
		switch {
		case err != nil:
			return fmt.Errorf("changing tenant %s: %w", id, err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no tenant %q", id)
		}
		return t.event(e)
	})
}

const selectTenant = `SELECT id, organization, created, approvals, per_second, burst, parent, suspended, children FROM tenant `

func scanTenant(row row) (*pki.Tenant, error) {
	n := new(pki.Tenant)
	return n, row.Scan(&n.ID, &n.Organization, intoTime{&n.Created}, &n.Approvals, &n.PerSecond, &n.Burst, &n.Parent, &n.Suspended, &n.Children)
}

// Tenant implements hierarchy.Store.
func (s *Store) Tenant(ctx context.Context, id pki.TenantID) (*pki.Tenant, error) {
	n, err := one(ctx, s.read, scanTenant, selectTenant+`WHERE id = $1`, id)
	return found(n, err, "tenant %q", id)
}

// Tenants implements hierarchy.Store.
func (s *Store) Tenants(ctx context.Context) ([]*pki.Tenant, error) {
	all, err := list(ctx, s.read, scanTenant, selectTenant+`ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("listing tenants: %w", err)
	}
	return all, nil
}

// found returns v; NotFound where err is sql.ErrNoRows, and any other error as it
// is, both with what was looked for.
func found[T any](v T, err error, what string, args ...any) (T, error) {
	var none T
	what = fmt.Sprintf(what, args...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return none, pki.Errorf(pki.NotFound, "no %s", what)
	case err != nil:
		return none, fmt.Errorf("reading %s: %w", what, err)
	}
	return v, nil
}
