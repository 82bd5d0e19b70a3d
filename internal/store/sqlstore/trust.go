package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// PutAnchor implements trust.Store.
func (s *Store) PutAnchor(ctx context.Context, a *trust.Anchor, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`INSERT INTO trust_anchor (tenant, name, id, issuer, certificate, created)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			a.Tenant, a.Name, a.ID, a.Issuer, a.Certificate, micros(a.Created))
		switch {
		case err != nil:
			return fmt.Errorf("storing the trusted authority %s: %w", a.Name, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is a trusted authority %q already: take another name, or remove it first", a.Name)
		}
		if err := t.putGrants(a.Grants); err != nil {
			return err
		}
		return t.event(e)
	})
}

const selectAnchor = `SELECT tenant, name, id, issuer, certificate, created FROM trust_anchor `

func scanAnchor(row row) (*trust.Anchor, error) {
	a := new(trust.Anchor)
	err := row.Scan(&a.Tenant, &a.Name, &a.ID, &a.Issuer, &a.Certificate, intoTime{&a.Created})
	return a, err
}

// Anchors implements trust.Store.
func (s *Store) Anchors(ctx context.Context, tenant pki.TenantID) ([]*trust.Anchor, error) {
	all, err := list(ctx, s.read, scanAnchor, selectAnchor+`WHERE tenant = $1 ORDER BY name`, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing trusted authorities: %w", err)
	}
	return s.withGrants(ctx, all, selectGrant+`WHERE g.tenant = $1 AND g.principal LIKE 'trust:%' ORDER BY g.id`, tenant)
}

// withGrants fills in the grants of trusted authorities, which a query selects.
func (s *Store) withGrants(ctx context.Context, all []*trust.Anchor, query string, args ...any) ([]*trust.Anchor, error) {
	of, err := s.grantsOf(ctx, query, args...)
	for _, a := range all {
		a.Grants = of[holder{a.Tenant, a.Principal()}]
	}
	return all, err
}

// AllAnchors implements trust.Store.
func (s *Store) AllAnchors(ctx context.Context) ([]*trust.Anchor, error) {
	all, err := list(ctx, s.read, scanAnchor, selectAnchor+`ORDER BY tenant, name`)
	if err != nil {
		return nil, fmt.Errorf("listing trusted authorities: %w", err)
	}
	return s.withGrants(ctx, all, selectGrant+`WHERE g.principal LIKE 'trust:%' ORDER BY g.id`)
}

// ChangeAnchor implements trust.Store.
func (s *Store) ChangeAnchor(ctx context.Context, a *trust.Anchor, had []access.Grant, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		// The row is written, so that it stays until the grants are there.
		rows, err := t.exec(`UPDATE trust_anchor SET name = name WHERE tenant = $1 AND name = $2 AND id = $3`, a.Tenant, a.Name, a.ID)
		switch {
		case err != nil:
			return fmt.Errorf("changing the trusted authority %s: %w", a.Name, err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no trusted authority %q", a.Name)
		}
		has, err := list(ctx, t, scanGrant, selectGrant+`WHERE g.tenant = $1 AND g.principal = $2`, a.Tenant, a.Principal())
		if err != nil {
			return fmt.Errorf("listing the grants of the trusted authority %s: %w", a.Name, err)
		}
		if len(without(has, had))+len(without(had, has)) > 0 {
			return pki.Errorf(pki.Conflict, "the grants of the trusted authority %s were changed meanwhile: look again", a.Name)
		}
		for _, g := range without(had, a.Grants) {
			if _, err := t.exec(`DELETE FROM access_grant WHERE tenant = $1 AND id = $2`, a.Tenant, g.ID); err != nil {
				return fmt.Errorf("removing grant %s: %w", g.ID, err)
			}
		}
		if err := t.putGrants(without(a.Grants, had)); err != nil {
			return err
		}
		return t.event(e)
	})
}

// without returns the grants of all but others; a grant of one id never changes.
func without(all, others []access.Grant) []access.Grant {
	return slices.DeleteFunc(slices.Clone(all), func(g access.Grant) bool {
		return slices.ContainsFunc(others, func(o access.Grant) bool { return o.ID == g.ID })
	})
}

// RemoveAnchor implements trust.Store.
func (s *Store) RemoveAnchor(ctx context.Context, a *trust.Anchor, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`DELETE FROM trust_anchor WHERE tenant = $1 AND name = $2 AND id = $3`, a.Tenant, a.Name, a.ID)
		switch {
		case err != nil:
			return fmt.Errorf("removing the trusted authority %s: %w", a.Name, err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no trusted authority %q", a.Name)
		}
		// Another of the name must not find them.
		if _, err := t.exec(`DELETE FROM access_grant WHERE tenant = $1 AND principal = $2`, a.Tenant, a.Principal()); err != nil {
			return fmt.Errorf("removing the grants of the trusted authority %s: %w", a.Name, err)
		}
		return t.event(e)
	})
}

// Asker implements trust.Store.
func (s *Store) Asker(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (string, error) {
	c, err := s.Certificate(ctx, tenant, issuer, serial)
	if err != nil {
		return "", err
	}
	if c.Batch == "" {
		_, actor, err := s.Request(ctx, issuer, serial)
		return actor, err
	}
	b, err := s.Batch(ctx, c.Owner, c.Batch)
	if err != nil {
		return "", err
	}
	return b.By, nil
}
