package sqlstore

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// A selection reads the certificates of a job page by page, each kind by an index.
type selection struct {
	where  string // $3 and on are args
	args   []any
	place  string // the column that a page goes on from, and that orders them
	window int64  // how many places a page looks through at most; 0 is all
}

// issuerWindow bounds the look for an issuer's certificates: no index has them by
// themselves, so that all are read that its tenant has issued.
const issuerWindow = 50_000

// selection returns the selection of a job; NotFound where there is no such batch
// or issuer.
func (s *Store) selection(ctx context.Context, tenant pki.TenantID, by revocation.Selector, name string) (*selection, error) {
	owner, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, err
	}
	num := int64(0) // a name that was never used has no certificates
	switch by {
	case revocation.ByDevice:
		return &selection{where: `owner = $3 AND device = $4 AND device <> ''`, args: []any{owner, name}, place: "id"}, nil
	case revocation.ByLot:
		num, err = s.findRef(ctx, lotRef(tenant, name))
		return &selection{where: `lot = $3 AND lot <> 0`, args: []any{num}, place: "id"}, err
	case revocation.ByProductLine:
		num, err = s.findRef(ctx, placeRef(registry.ProductLine, tenant, name))
		return &selection{where: `product_line = $3 AND product_line <> 0`, args: []any{num}, place: "id"}, err
	case revocation.ByBatch:
		num, err = s.batchNum(ctx, s.read, tenant, pki.BatchID(name))
		return &selection{where: `batch = $3 AND batch IS NOT NULL`, args: []any{num}, place: "row_no"}, err
	}
	issuer, err := s.seenIssuer(ctx, tenant, pki.IssuerID(name))
	if err != nil {
		return nil, err
	}
	if issuer.tenant == owner {
		return &selection{where: `tenant = $3 AND issuer = $4`, args: []any{owner, issuer.num}, place: "id", window: issuerWindow}, nil
	}
	return &selection{where: `owner = $3 AND issuer = $4 AND owner <> tenant`, args: []any{owner, issuer.num}, place: "id"}, nil
}

// count returns how many certificates there are up to an id.
func (sel *selection) count(ctx context.Context, from source, bound int64) (int64, error) {
	n, err := one(ctx, from, scanInt, `SELECT count(*) FROM certificate WHERE `+sel.where+` AND id > $1 AND id <= $2`,
		append([]any{0, bound}, sel.args...)...)
	if err != nil {
		return 0, fmt.Errorf("counting the certificates of a job: %w", err)
	}
	return n, nil
}

// PlacesOf implements revocation.JobStore. What another tenant owns has no place for
// the one that issued it.
func (s *Store) PlacesOf(ctx context.Context, tenant pki.TenantID, sel revocation.Selection, limit int) ([]access.Scope, error) {
	by, name, err := sel.By()
	if err != nil {
		return nil, err
	}
	of, err := s.selection(ctx, tenant, by, name)
	if err != nil {
		return nil, err
	}
	owner, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, err
	}
	all, err := list(ctx, s.read, func(row row) (p access.Scope, err error) {
		return p, row.Scan(&p.Authority, &p.ProductLine, &p.Site)
	}, fmt.Sprintf(`SELECT DISTINCT COALESCE(a.name, ''), COALESCE(l.text, ''), COALESCE(p.text, '') FROM
		(SELECT DISTINCT issuer, CASE WHEN owner = $1 THEN product_line ELSE 0 END AS line, CASE WHEN owner = $1 THEN site ELSE 0 END AS place
			FROM certificate WHERE %s) c
		JOIN issuer i ON i.num = c.issuer LEFT JOIN authority a ON a.id = i.authority AND a.tenant = $2
		LEFT JOIN ref l ON l.num = c.line LEFT JOIN ref p ON p.num = c.place LIMIT $%d`, of.where, len(of.args)+3),
		append(append([]any{owner, tenant}, of.args...), limit)...)
	if err != nil {
		return nil, fmt.Errorf("reading the places of %s: %w", sel, err)
	}
	return all, nil
}

// A candidate is a certificate that a job looks at.
type candidate struct {
	place    int64
	issuer   int64
	owner    int64
	serial   pki.Serial
	notAfter int64
}

// page returns up to limit certificates after a place and up to an id, the place
// that the next page goes on from, and whether it was the last.
func (sel *selection) page(ctx context.Context, from source, after, bound int64, limit int) (page []candidate, next int64, last bool, err error) {
	upto := bound
	if sel.window > 0 {
		upto = min(bound, after+sel.window)
	}
	page, err = list(ctx, from, func(row row) (c candidate, err error) {
		return c, row.Scan(&c.place, &c.issuer, &c.owner, intoArray(c.serial[:]), &c.notAfter)
	}, fmt.Sprintf(`SELECT %[1]s, issuer, owner, serial, not_after FROM certificate WHERE %[2]s AND %[1]s > $1 AND id <= $2 ORDER BY %[1]s LIMIT $%[3]d`,
		sel.place, sel.where, len(sel.args)+3), append(append([]any{after, upto}, sel.args...), limit)...)
	switch {
	case err != nil:
		return nil, 0, false, fmt.Errorf("reading the certificates of a job: %w", err)
	case len(page) == limit:
		return page, page[limit-1].place, false, nil
	case sel.window > 0:
		return page, upto, upto == bound, nil
	}
	if len(page) > 0 {
		after = page[len(page)-1].place
	}
	return page, after, true, nil
}
