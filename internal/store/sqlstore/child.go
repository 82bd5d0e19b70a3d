package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

// checkParent refuses a parent that cannot have another child, or not of this name: one
// that would look like another tenant's child.
func (t *tx) checkParent(parent, child pki.TenantID) error {
	p, err := one(context.Background(), t, scanTenant, selectTenant+`WHERE id = $1`, parent)
	if p, err = found(p, err, "tenant %q", parent); err != nil {
		return err
	}
	n, err := one(context.Background(), t, scanInt, `SELECT count(*) FROM tenant WHERE parent = $1 AND parent <> ''`, parent)
	if err != nil {
		return fmt.Errorf("counting the children of tenant %s: %w", parent, err)
	}
	nearer, err := one(context.Background(), t, scanInt, `SELECT count(*) FROM tenant WHERE parent <> $1 AND length(id) > length($1) AND $2 LIKE id || '-%'`, parent, child)
	switch {
	case err != nil:
		return fmt.Errorf("looking for names that tenant %s begins with: %w", child, err)
	case nearer > 0:
		return pki.Errorf(pki.Conflict, "the name %q is another tenant's to give: choose another", child)
	case p.Parent != "":
		return pki.Errorf(pki.Conflict, "the tenant %s is a child itself: a child has no children", parent)
	case n >= hierarchy.MayHave(p):
		return pki.Errorf(pki.Conflict, "the tenant %s has %d children, which is as many as it may have; the platform operator sets how many ('pando tenant set --children')", parent, n)
	}
	return nil
}

// Children implements hierarchy.Store.
func (s *Store) Children(ctx context.Context, parent pki.TenantID) ([]*pki.Tenant, error) {
	all, err := list(ctx, s.read, scanTenant, selectTenant+`WHERE parent = $1 AND parent <> '' ORDER BY id`, parent)
	if err != nil {
		return nil, fmt.Errorf("listing children: %w", err)
	}
	return all, nil
}

// Parent implements access.TokenStore.
func (s *Store) Parent(ctx context.Context, child pki.TenantID) (pki.TenantID, error) {
	t, err := s.Tenant(ctx, child)
	if err != nil {
		return "", err
	}
	return t.Parent, nil
}

// SuspendChild implements hierarchy.Store.
func (s *Store) SuspendChild(ctx context.Context, parent, child pki.TenantID, suspended bool, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		if err := t.checkChild(parent, child); err != nil {
			return err
		}
		rows, err := t.exec(`UPDATE tenant SET suspended = $1 WHERE id = $2 AND suspended <> $1`, number(suspended), child)
		switch {
		case err != nil:
			return fmt.Errorf("suspending tenant %s: %w", child, err)
		case rows == 0:
			return pki.Errorf(pki.Conflict, "the tenant %s is %s already", child, map[bool]string{true: "suspended", false: "active"}[suspended])
		}
		t.forgetQuotas = true
		return t.eventOfBoth(child, e)
	})
}

// checkChild is NotFound where the parent has no such child.
func (t *tx) checkChild(parent, child pki.TenantID) error {
	_, err := one(context.Background(), t, scanInt, `SELECT 1 FROM tenant WHERE id = $1 AND parent = $2 AND parent <> ''`, child, parent)
	_, err = found(0, err, "tenant %q", child)
	return err
}

// eventOfBoth stores a parent's event, and the same in its child's log: who of the
// parent's people it was is not said there.
func (t *tx) eventOfBoth(child pki.TenantID, e pki.Event) error {
	if err := t.event(e); err != nil {
		return err
	}
	e.ID, e.Actor, e.Tenant, e.Change = "", "tenant:"+string(e.Tenant), child, ""
	return t.event(e)
}

// PutLoan implements hierarchy.Store.
func (s *Store) PutLoan(ctx context.Context, l *pki.Loan, before int64, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		if err := t.checkChild(l.Parent, l.Child); err != nil {
			return err
		}
		has, err := one(ctx, t, scanInt, `SELECT COALESCE(MAX(bound), 0) FROM quota WHERE tenant = $1 AND kind = $2 AND name = $3`, l.Child, quota.Loan, l.Name)
		switch {
		case err != nil:
			return fmt.Errorf("reading the limit of a loan: %w", err)
		case has != before:
			return pki.Errorf(pki.Conflict, "the loan %q was changed or taken back by somebody else meanwhile: look at it again", l.Name)
		}
		limit := quota.Quota{Tenant: l.Child, Target: quota.Target{Kind: quota.Loan, Name: l.Name}, Limit: l.Limit, Actor: "tenant:" + string(l.Parent), Changed: l.Created}
		same, err := one(context.Background(), t, scanInt, `SELECT CASE WHEN authority = $1 AND profile = $2 THEN 1 ELSE 0 END FROM loan WHERE child = $3 AND name = $4`,
			l.Authority, l.Profile, l.Child, l.Name)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			rows, err := t.exec(`INSERT INTO loan (child, name, parent, authority, profile, version, created) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
				l.Child, l.Name, l.Parent, l.Authority, l.Profile, l.Version, micros(l.Created))
			if err != nil {
				return fmt.Errorf("storing a loan: %w", err)
			}
			if rows == 0 {
				return pki.Errorf(pki.Conflict, "this authority with this profile is lent to %s already, under another name", l.Child)
			}
			if _, err := t.exec(`INSERT INTO lent (child, authority) VALUES ($1, $2) ON CONFLICT DO NOTHING`, l.Child, l.Authority); err != nil {
				return fmt.Errorf("noting what was lent: %w", err)
			}
			if err := t.putQuota(&limit); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("reading a loan: %w", err)
		case same == 0:
			return pki.Errorf(pki.Conflict, "the loan %q is of another authority or profile: take it back first, or choose another name", l.Name)
		default:
			if _, err := t.exec(`UPDATE loan SET version = $1 WHERE child = $2 AND name = $3 AND version < $1`, l.Version, l.Child, l.Name); err != nil {
				return fmt.Errorf("changing a loan: %w", err)
			}
			if err := t.changeQuota(&limit); err != nil {
				return err
			}
		}
		t.forgetQuotas = true
		return t.eventOfBoth(l.Child, e)
	})
}

// TakeBack implements hierarchy.Store.
func (s *Store) TakeBack(ctx context.Context, parent, child pki.TenantID, name string, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`DELETE FROM loan WHERE parent = $1 AND child = $2 AND name = $3`, parent, child, name)
		switch {
		case err != nil:
			return fmt.Errorf("taking a loan back: %w", err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no loan %q", name)
		}
		if err := t.dropQuota(child, quota.Target{Kind: quota.Loan, Name: name}); err != nil {
			return err
		}
		return t.eventOfBoth(child, e)
	})
}

// Loans implements hierarchy.Store.
func (s *Store) Loans(ctx context.Context, child pki.TenantID) ([]*pki.Loan, error) {
	all, err := list(ctx, s.read, func(row row) (*pki.Loan, error) {
		l := &pki.Loan{Child: child}
		return l, row.Scan(&l.Parent, &l.Name, &l.Authority, &l.AuthorityName, &l.Profile, &l.Version, &l.Limit, &l.Used, intoTime{&l.Created})
	}, `SELECT l.parent, l.name, l.authority, a.name, l.profile, l.version, q.bound, q.used, l.created FROM loan l JOIN authority a ON a.id = l.authority
		JOIN quota q ON q.tenant = l.child AND q.kind = 'loan' AND q.name = l.name WHERE l.child = $1 ORDER BY l.name`, child)
	if err != nil {
		return nil, fmt.Errorf("listing loans: %w", err)
	}
	return all, nil
}
