package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// putGrants stores grants of a principal that is stored in the same transaction.
func (t *tx) putGrants(all []access.Grant) error {
	for _, g := range all {
		if err := t.putGrant(&g); err != nil {
			return err
		}
	}
	return nil
}

// putGrant stores a grant; Conflict where its role is an own one that does not include
// what the grant was made with.
func (t *tx) putGrant(g *access.Grant) error {
	if access.PermissionsOf(g.Role) == nil {
		n, err := one(context.Background(), t, scanInt, `SELECT COUNT(*) FROM access_role WHERE tenant = $1 AND name = $2 AND permissions = $3`, g.Tenant, g.Role, joined(g.Own))
		if err != nil {
			return fmt.Errorf("looking for role %s: %w", g.Role, err)
		}
		if n == 0 {
			return roleChanged(g.Role)
		}
	}
	rows, err := t.exec(`INSERT INTO access_grant (id, tenant, principal, role, authority, product_line, site, endpoint, actor, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		g.ID, g.Tenant, g.Principal, g.Role, g.Scope.Authority, g.Scope.ProductLine, g.Scope.Site, g.Scope.Endpoint, g.Actor, micros(g.Created))
	switch {
	case err != nil:
		return fmt.Errorf("storing grant %s: %w", g.ID, err)
	case rows == 0:
		return pki.Errorf(pki.Conflict, "%s has the role %s on %s already", g.Principal, g.Role, g.Scope)
	}
	return nil
}

// selectGrant also reads what an own role includes; of a built-in one that is empty.
const selectGrant = `SELECT g.id, g.tenant, g.principal, g.role, g.authority, g.product_line, g.site, g.endpoint, g.actor, g.created,
	COALESCE(r.permissions, '') FROM access_grant g LEFT JOIN access_role r ON r.tenant = g.tenant AND r.name = g.role `

func scanGrant(row row) (access.Grant, error) {
	var g access.Grant
	var own string
	err := row.Scan(&g.ID, &g.Tenant, &g.Principal, &g.Role, &g.Scope.Authority, &g.Scope.ProductLine, &g.Scope.Site, &g.Scope.Endpoint,
		&g.Actor, intoTime{&g.Created}, &own)
	g.Own = split[access.Permission](own)
	return g, err
}

// A holder is a principal that grants are looked up for.
type holder struct {
	tenant    pki.TenantID
	principal string
}

// grantsOf returns the grants that a query selects, by who has them.
func (s *Store) grantsOf(ctx context.Context, query string, args ...any) (map[holder][]access.Grant, error) {
	all, err := list(ctx, s.read, scanGrant, query, args...)
	if err != nil {
		return nil, fmt.Errorf("listing grants: %w", err)
	}
	of := make(map[holder][]access.Grant)
	for _, g := range all {
		h := holder{g.Tenant, g.Principal}
		of[h] = append(of[h], g)
	}
	return of, nil
}

// Missing implements access.ScopeStore.
func (s *Store) Missing(ctx context.Context, tenant pki.TenantID, scope access.Scope) (string, error) {
	look := []struct {
		name, query string
		part        access.Scope
	}{
		{scope.Authority, `SELECT COUNT(*) FROM authority WHERE tenant = $1 AND name = $2`, access.Scope{Authority: scope.Authority}},
		{scope.ProductLine, `SELECT COUNT(*) FROM ref WHERE tenant = $1 AND text = $2 AND kind = '` + string(registry.ProductLine) + `'`, access.Scope{ProductLine: scope.ProductLine}},
		{scope.Site, `SELECT COUNT(*) FROM ref WHERE tenant = $1 AND text = $2 AND kind = '` + string(registry.Site) + `'`, access.Scope{Site: scope.Site}},
		{scope.Endpoint, `SELECT COUNT(*) FROM endpoint WHERE tenant = $1 AND name = $2`, access.Scope{Endpoint: scope.Endpoint}},
	}
	for _, l := range look {
		if l.name == "" {
			continue
		}
		n, err := one(ctx, s.read, scanInt, l.query, tenant, l.name)
		if err != nil {
			return "", fmt.Errorf("looking for %s: %w", l.part, err)
		}
		if n == 0 {
			return l.part.String(), nil
		}
	}
	return "", nil
}

// AuthorityName implements access.AuthorityNames.
func (s *Store) AuthorityName(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (string, error) {
	return s.nameOrNone(ctx, `SELECT name FROM authority WHERE tenant = $1 AND id = $2`, tenant, authority)
}

// IssuerAuthorityName implements access.AuthorityNames.
func (s *Store) IssuerAuthorityName(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID) (string, error) {
	return s.nameOrNone(ctx, `SELECT a.name FROM authority a JOIN issuer i ON i.authority = a.id WHERE a.tenant = $1 AND i.id = $2`, tenant, issuer)
}

func (s *Store) nameOrNone(ctx context.Context, query string, args ...any) (string, error) {
	name, err := one(ctx, s.read, scanText, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return name, err
}
