package sqlstore

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

func (t *tx) putLot(num int64, l *registry.Lot) error {
	_, err := t.exec(`INSERT INTO lot (num, tenant, name, product_line, site, ordered, state, actor, created, closed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		num, l.Tenant, l.Name, l.ProductLine, l.Site, l.Ordered, l.State, l.Actor, micros(l.Created), micros(l.Closed))
	if err != nil {
		return fmt.Errorf("storing lot %q: %w", l.Name, err)
	}
	return nil
}

// PutLot implements registry.Store.
func (s *Store) PutLot(ctx context.Context, l *registry.Lot, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		num, fresh, err := t.internNew(lotRef(l.Tenant, l.Name))
		switch {
		case err != nil:
			return err
		case !fresh:
			return pki.Errorf(pki.Conflict, "there is a lot %q already", l.Name)
		}
		if _, _, _, err := t.places(l.Tenant, pki.Placement{ProductLine: l.ProductLine, Site: l.Site}, l.Created); err != nil {
			return err
		}
		if err := t.putLot(num, l); err != nil {
			return err
		}
		return t.event(e)
	})
}

// ChangeLot implements registry.Store.
func (s *Store) ChangeLot(ctx context.Context, l *registry.Lot, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE lot SET product_line = $1, site = $2, ordered = $3 WHERE tenant = $4 AND name = $5 AND state = 'open'`,
			l.ProductLine, l.Site, l.Ordered, l.Tenant, l.Name)
		if err != nil {
			return fmt.Errorf("changing lot %q: %w", l.Name, err)
		}
		if rows == 0 {
			if _, err := t.lot(l.Tenant, l.Name); err != nil {
				return err
			}
			return pki.Errorf(pki.Conflict, "the lot %q is closed and cannot be changed", l.Name)
		}
		if _, _, _, err := t.places(l.Tenant, pki.Placement{ProductLine: l.ProductLine, Site: l.Site}, e.At); err != nil {
			return err
		}
		return t.event(e)
	})
}

const selectLot = `SELECT tenant, name, product_line, site, ordered, state, actor, created, closed FROM lot `

func scanLot(row row) (*registry.Lot, error) {
	l := new(registry.Lot)
	return l, row.Scan(&l.Tenant, &l.Name, &l.ProductLine, &l.Site, &l.Ordered, &l.State, &l.Actor, intoTime{&l.Created}, intoTime{&l.Closed})
}

func (t *tx) lot(tenant pki.TenantID, name string) (*registry.Lot, error) {
	return readLot(context.Background(), t, tenant, name)
}

// Lot implements registry.Store.
func (s *Store) Lot(ctx context.Context, tenant pki.TenantID, name string) (*registry.Lot, error) {
	return readLot(ctx, s.read, tenant, name)
}

func readLot(ctx context.Context, from source, tenant pki.TenantID, name string) (*registry.Lot, error) {
	l, err := one(ctx, from, scanLot, selectLot+`WHERE tenant = $1 AND name = $2`, tenant, name)
	return found(l, err, "lot %q", name)
}

// Lots implements registry.Store. A lot that the filter leaves out costs no more
// than a row: there are thousands of lots in a tenant, not millions.
func (s *Store) Lots(ctx context.Context, tenant pki.TenantID, f registry.LotFilter, after string, limit int) ([]*registry.Lot, error) {
	all, err := list(ctx, s.read, scanLot, selectLot+`WHERE tenant = $1 AND name > $2 AND ($3 = '' OR product_line = $3)
		AND ($4 = '' OR site = $4) AND ($5 = '' OR state = $5) ORDER BY name LIMIT $6`, tenant, after, f.ProductLine, f.Site, f.State, limit)
	if err != nil {
		return nil, fmt.Errorf("listing lots: %w", err)
	}
	return all, nil
}
