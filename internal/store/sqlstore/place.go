package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

func placeRef(kind registry.PlaceKind, owner pki.TenantID, name string) ref {
	return ref{string(kind), string(owner), name}
}

// places returns the numbers of a placement's names, 0 for an empty one. Names
// that are new are registered, the lot with the product line and the site that it
// is named with.
func (t *tx) places(owner pki.TenantID, p pki.Placement, now time.Time) (line, lot, site int64, err error) {
	if line, err = t.place(registry.ProductLine, owner, p.ProductLine, now); err != nil {
		return 0, 0, 0, err
	}
	if site, err = t.place(registry.Site, owner, p.Site, now); err != nil || p.Lot == "" {
		return line, 0, site, err
	}
	lot, fresh, err := t.internNew(lotRef(owner, p.Lot))
	if err != nil || !fresh {
		return line, lot, site, err
	}
	return line, lot, site, t.putLot(lot, &registry.Lot{Tenant: owner, Name: p.Lot, ProductLine: p.ProductLine, Site: p.Site, State: registry.LotOpen, Created: now})
}

func (t *tx) place(kind registry.PlaceKind, owner pki.TenantID, name string, now time.Time) (int64, error) {
	if name == "" {
		return 0, nil
	}
	num, fresh, err := t.internNew(placeRef(kind, owner, name))
	if err != nil || !fresh {
		return num, err
	}
	return num, t.putPlace(num, &registry.Place{Kind: kind, Tenant: owner, Name: name, Created: now})
}

func (t *tx) putPlace(num int64, p *registry.Place) error {
	_, err := t.exec(`INSERT INTO place (num, kind, tenant, name, description, actor, created) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		num, p.Kind, p.Tenant, p.Name, p.Description, p.Actor, micros(p.Created))
	if err != nil {
		return fmt.Errorf("storing the %s %q: %w", p.Kind, p.Name, err)
	}
	return nil
}

// PutPlace implements registry.Store.
func (s *Store) PutPlace(ctx context.Context, p *registry.Place, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		num, fresh, err := t.internNew(placeRef(p.Kind, p.Tenant, p.Name))
		switch {
		case err != nil:
			return err
		case !fresh:
			return pki.Errorf(pki.Conflict, "there is a %s %q already", p.Kind, p.Name)
		}
		if err := t.putPlace(num, p); err != nil {
			return err
		}
		return t.event(e)
	})
}

// DescribePlace implements registry.Store.
func (s *Store) DescribePlace(ctx context.Context, tenant pki.TenantID, kind registry.PlaceKind, name, description string, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE place SET description = $1 WHERE tenant = $2 AND kind = $3 AND name = $4`, description, tenant, kind, name)
		switch {
		case err != nil:
			return fmt.Errorf("describing the %s %q: %w", kind, name, err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no %s %q", kind, name)
		}
		return t.event(e)
	})
}

const selectPlace = `SELECT kind, tenant, name, description, actor, created FROM place `

func scanPlace(row row) (*registry.Place, error) {
	p := new(registry.Place)
	return p, row.Scan(&p.Kind, &p.Tenant, &p.Name, &p.Description, &p.Actor, intoTime{&p.Created})
}

// Place implements registry.Store.
func (s *Store) Place(ctx context.Context, tenant pki.TenantID, kind registry.PlaceKind, name string) (*registry.Place, error) {
	p, err := one(ctx, s.read, scanPlace, selectPlace+`WHERE tenant = $1 AND kind = $2 AND name = $3`, tenant, kind, name)
	return found(p, err, "%s %q", kind, name)
}

// Places implements registry.Store.
func (s *Store) Places(ctx context.Context, tenant pki.TenantID, kind registry.PlaceKind, after string, limit int) ([]*registry.Place, error) {
	all, err := list(ctx, s.read, scanPlace, selectPlace+`WHERE tenant = $1 AND kind = $2 AND name > $3 ORDER BY name LIMIT $4`, tenant, kind, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing places: %w", err)
	}
	return all, nil
}

// Strict implements registry.Store.
func (s *Store) Strict(ctx context.Context, tenant pki.TenantID) (bool, error) {
	strict, err := one(ctx, s.read, scanInt, `SELECT strict_registry FROM tenant WHERE id = $1`, tenant)
	strict, err = found(strict, err, "tenant %q", tenant)
	return strict != 0, err
}

// SetStrict implements registry.Store.
func (s *Store) SetStrict(ctx context.Context, tenant pki.TenantID, strict bool, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE tenant SET strict_registry = $1 WHERE id = $2`, number(strict), tenant)
		switch {
		case err != nil:
			return fmt.Errorf("setting the registry of tenant %s: %w", tenant, err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no tenant %q", tenant)
		}
		return t.event(e)
	})
}
