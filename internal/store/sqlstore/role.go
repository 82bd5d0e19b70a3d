package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// PutRole implements access.GrantStore.
func (s *Store) PutRole(ctx context.Context, r *access.OwnRole, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`INSERT INTO access_role (tenant, name, description, permissions, created) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			r.Tenant, r.Name, r.Description, joined(r.Permissions), micros(r.Created))
		switch {
		case err != nil:
			return fmt.Errorf("storing role %s: %w", r.Name, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "there is a role %q already", r.Name)
		}
		return t.event(e)
	})
}

// ChangeRole implements access.GrantStore.
func (s *Store) ChangeRole(ctx context.Context, r *access.OwnRole, was []access.Permission, trusted []string, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		have, err := list(ctx, t, scanText, `SELECT DISTINCT principal FROM access_grant WHERE tenant = $1 AND role = $2 AND principal LIKE 'trust:%' ORDER BY principal`, r.Tenant, r.Name)
		if err != nil {
			return fmt.Errorf("looking for trusted authorities with role %s: %w", r.Name, err)
		}
		if !slices.Equal(have, trusted) {
			return pki.Errorf(pki.Conflict, "a trusted authority got or lost the role %q meanwhile: look at it again", r.Name)
		}
		rows, err := t.exec(`UPDATE access_role SET description = $1, permissions = $2 WHERE tenant = $3 AND name = $4 AND permissions = $5`,
			r.Description, joined(r.Permissions), r.Tenant, r.Name, joined(was))
		switch {
		case err != nil:
			return fmt.Errorf("changing role %s: %w", r.Name, err)
		case rows == 0:
			return roleChanged(r.Name)
		}
		return t.event(e)
	})
}

func roleChanged(name access.Role) error {
	return pki.Errorf(pki.Conflict, "the role %q was changed or deleted by somebody else meanwhile: look at it again", name)
}

// DeleteRole implements access.GrantStore.
func (s *Store) DeleteRole(ctx context.Context, tenant pki.TenantID, name access.Role, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		held, err := one(ctx, t, scanInt, `SELECT COUNT(*) FROM access_grant WHERE tenant = $1 AND role = $2`, tenant, name)
		if err != nil {
			return fmt.Errorf("counting the grants of role %s: %w", name, err)
		}
		if held > 0 {
			return pki.Errorf(pki.Conflict, "%d grants have the role %q: remove them first", held, name)
		}
		named, err := t.endpointsNaming(ctx, tenant, name)
		if err != nil {
			return err
		}
		if named > 0 {
			return pki.Errorf(pki.Conflict, "the approvals of %s name the role %q: change them first", pki.Count(named, "endpoint"), name)
		}
		rows, err := t.exec(`DELETE FROM access_role WHERE tenant = $1 AND name = $2`, tenant, name)
		switch {
		case err != nil:
			return fmt.Errorf("deleting role %s: %w", name, err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no own role %q", name)
		}
		return t.event(e)
	})
}

// endpointsNaming counts the endpoints whose approvals name a role: what is enrolled
// there would be refused without it.
func (t *tx) endpointsNaming(ctx context.Context, tenant pki.TenantID, name access.Role) (int, error) {
	all, err := list(ctx, t, func(row row) (steps []pki.ApprovalStep, err error) {
		var text string
		if err = row.Scan(&text); err == nil {
			err = json.Unmarshal([]byte(text), &steps)
		}
		return steps, err
	}, `SELECT approvals FROM endpoint WHERE tenant = $1 AND approvals <> ''`, tenant)
	if err != nil {
		return 0, fmt.Errorf("looking for endpoints whose approvals name role %s: %w", name, err)
	}
	n := 0
	for _, steps := range all {
		if slices.ContainsFunc(steps, func(s pki.ApprovalStep) bool { return s.Role == string(name) }) {
			n++
		}
	}
	return n, nil
}

// Roles implements access.GrantStore.
func (s *Store) Roles(ctx context.Context, tenant pki.TenantID) ([]*access.OwnRole, error) {
	all, err := list(ctx, s.read, func(row row) (*access.OwnRole, error) {
		r := new(access.OwnRole)
		var permissions string
		err := row.Scan(&r.Tenant, &r.Name, &r.Description, &permissions, intoTime{&r.Created})
		r.Permissions = split[access.Permission](permissions)
		return r, err
	}, `SELECT tenant, name, description, permissions, created FROM access_role WHERE tenant = $1 ORDER BY name`, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing roles: %w", err)
	}
	return all, nil
}

// PutGrant implements access.GrantStore.
func (s *Store) PutGrant(ctx context.Context, g *access.Grant, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		if err := t.holder(ctx, g); err != nil {
			return err
		}
		have, err := one(ctx, t, scanInt, `SELECT COUNT(*) FROM access_grant WHERE tenant = $1 AND principal = $2`, g.Tenant, g.Principal)
		if err != nil {
			return fmt.Errorf("counting the grants of %s: %w", g.Principal, err)
		}
		if have >= access.MaxGrants {
			return pki.Errorf(pki.Conflict, "%s has %d grants, and can have no more", g.Principal, have)
		}
		if err := t.putGrant(g); err != nil {
			return err
		}
		return t.event(e)
	})
}

// holder is NotFound where the principal of a grant is not there any more, and Conflict
// where it is another trusted authority by now.
func (t *tx) holder(ctx context.Context, g *access.Grant) error {
	id, err := holderOf(ctx, t, g.Tenant, g.Principal, time.Time{})
	switch {
	case err != nil:
		return err
	case id == "":
		return pki.Errorf(pki.NotFound, "no %s", g.Principal)
	case strings.HasPrefix(g.Principal, "trust:") && id != g.Holder:
		return pki.Errorf(pki.Conflict, "%s was made another authority by somebody else meanwhile: look at it again", g.Principal)
	}
	return nil
}

// Holder implements access.GrantStore.
func (s *Store) Holder(ctx context.Context, tenant pki.TenantID, principal string, at time.Time) (string, error) {
	return holderOf(ctx, s.read, tenant, principal, at)
}

// holderOf returns the id of what a principal is, "" for none. A token has ended that is
// revoked, or expired at a time.
func holderOf(ctx context.Context, from source, tenant pki.TenantID, principal string, at time.Time) (string, error) {
	kind, name, _ := strings.Cut(principal, ":")
	var query string
	args := []any{tenant, name}
	switch kind {
	case "token":
		query, args = `SELECT id FROM token WHERE tenant = $1 AND id = $2 AND revoked = 0 AND expires > $3`, append(args, micros(at))
	case "trust":
		query = `SELECT id FROM trust_anchor WHERE tenant = $1 AND name = $2`
	default:
		return "", nil
	}
	id, err := one(ctx, from, scanText, query, args...)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("looking for %s: %w", principal, err)
	}
	return id, nil
}

// DeleteGrant implements access.GrantStore.
func (s *Store) DeleteGrant(ctx context.Context, tenant pki.TenantID, id string, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`DELETE FROM access_grant WHERE tenant = $1 AND id = $2`, tenant, id)
		switch {
		case err != nil:
			return fmt.Errorf("removing grant %s: %w", id, err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no grant %q", id)
		}
		return t.event(e)
	})
}

// Grants implements access.GrantStore.
func (s *Store) Grants(ctx context.Context, tenant pki.TenantID, principal string, role access.Role) ([]access.Grant, error) {
	all, err := list(ctx, s.read, scanGrant, selectGrant+`WHERE g.tenant = $1 AND ($2 = '' OR g.principal = $2) AND ($3 = '' OR g.role = $3)
		ORDER BY g.principal, g.id`, tenant, principal, role)
	if err != nil {
		return nil, fmt.Errorf("listing grants: %w", err)
	}
	return all, nil
}
