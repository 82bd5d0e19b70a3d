package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

// SetQuota implements quota.Store.
func (s *Store) SetQuota(ctx context.Context, q quota.Quota, raise bool, e pki.Event) (*quota.Quota, error) {
	if err := s.update(ctx, func(t *tx) error { return t.setQuota(&q, raise, e) }); err != nil {
		return nil, err
	}
	return &q, nil
}

// eventWithQuota stores an act's event, and sets the quota that the act says, nil for none,
// without raising it.
func (t *tx) eventWithQuota(q *quota.Quota, e pki.Event) error {
	if err := t.event(e); err != nil || q == nil {
		return err
	}
	return t.setQuota(q, false, pki.Event{Tenant: e.Tenant, At: e.At, Actor: e.Actor, Action: "quota.set"})
}

// setQuota sets a quota, and completes it and its event.
func (t *tx) setQuota(q *quota.Quota, raise bool, e pki.Event) error {
	if err := t.findTarget(q.Tenant, &q.Target); err != nil {
		return err
	}
	var before int64
	_, err := one(context.Background(), t, func(row row) (bool, error) {
		return true, row.Scan(&before, &q.Used, &q.Counting)
	}, `SELECT bound, used, counting FROM quota WHERE tenant = $1 AND kind = $2 AND name = $3`, q.Tenant, q.Kind, q.Name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		e.Detail = pki.Count(q.Limit, "certificate")
		err = t.putQuota(q)
	case err == nil && q.Limit > before && !raise:
		return pki.Errorf(pki.Conflict, "the quota for %s is %d at this moment, and would be raised: set it under this name", q.Target, before)
	case err == nil:
		e.Detail = fmt.Sprintf("from %d to %s", before, pki.Count(q.Limit, "certificate"))
		err = t.changeQuota(q)
	}
	if err != nil {
		return fmt.Errorf("setting the quota for %s: %w", q.Target, err)
	}
	t.forgetQuotas = true
	e.Target = "quota:" + q.Target.String()
	return t.event(e)
}

// findTarget refuses a target that is not there: a misspelt name would bound nothing.
func (t *tx) findTarget(tenant pki.TenantID, target *quota.Target) error {
	text := ""
	switch target.Kind {
	case quota.Tenant:
		return nil
	case quota.Authority:
		text = `SELECT name FROM authority WHERE tenant = $1 AND (name = $2 OR id = $2)`
	case quota.Profile:
		text = `SELECT name FROM profile WHERE tenant = $1 AND name = $2 LIMIT 1`
	case quota.Endpoint:
		text = `SELECT name FROM endpoint WHERE tenant = $1 AND name = $2`
	case quota.ProductLine:
		text = `SELECT name FROM place WHERE tenant = $1 AND kind = 'line' AND name = $2`
	}
	name, err := one(context.Background(), t, func(row row) (name string, err error) {
		err = row.Scan(&name)
		return name, err
	}, text, tenant, target.Name)
	target.Name, err = found(name, err, "%s %q", strings.ReplaceAll(string(target.Kind), "-", " "), target.Name)
	return err
}

// putQuota stores a new quota. Every certificate that there is may count, and every
// one that an open intent is for.
func (t *tx) putQuota(q *quota.Quota) error {
	n, err := one(context.Background(), t, scanInt, `SELECT count(*) FROM quota WHERE tenant = $1`, q.Tenant)
	switch {
	case err != nil:
		return err
	case n >= quota.MaxQuotas:
		return pki.Errorf(pki.Conflict, "the tenant has %d quotas, which is as many as there may be", n)
	}
	q.Counting = true
	_, err = t.exec(`INSERT INTO quota (tenant, kind, name, bound, used, barrier, position, counting, actor, changed)
		VALUES ($1, $2, $3, $4, 0, (SELECT coalesce(max(num), 0) FROM intent), 0, 1, $5, $6)`,
		q.Tenant, q.Kind, q.Name, q.Limit, q.Actor, micros(q.Changed))
	return err
}

// changeQuota changes a quota's limit.
func (t *tx) changeQuota(q *quota.Quota) error {
	_, err := t.exec(`UPDATE quota SET bound = $1, actor = $2, changed = $3 WHERE tenant = $4 AND kind = $5 AND name = $6`,
		q.Limit, q.Actor, micros(q.Changed), q.Tenant, q.Kind, q.Name)
	return err
}

// RemoveQuota implements quota.Store.
func (s *Store) RemoveQuota(ctx context.Context, tenant pki.TenantID, target quota.Target, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		if err := t.dropQuota(tenant, target); err != nil {
			return err
		}
		return t.event(e)
	})
}

// dropQuota ends a quota, or is NotFound.
func (t *tx) dropQuota(tenant pki.TenantID, target quota.Target) error {
	rows, err := t.exec(`DELETE FROM quota WHERE tenant = $1 AND kind = $2 AND name = $3`, tenant, target.Kind, target.Name)
	switch {
	case err != nil:
		return fmt.Errorf("removing the quota for %s: %w", target, err)
	case rows == 0:
		return pki.Errorf(pki.NotFound, "no quota for %s", target)
	}
	t.forgetQuotas = true
	return nil
}

const selectQuota = `SELECT tenant, kind, name, bound, used, counting, actor, changed FROM quota `

func scanQuota(row row) (*quota.Quota, error) {
	q := new(quota.Quota)
	return q, row.Scan(&q.Tenant, &q.Kind, &q.Name, &q.Limit, &q.Used, &q.Counting, &q.Actor, intoTime{&q.Changed})
}

// Quotas implements quota.Store.
func (s *Store) Quotas(ctx context.Context, tenant pki.TenantID) ([]*quota.Quota, error) {
	return s.listQuotas(ctx, selectQuota+`WHERE tenant = $1 ORDER BY kind, name`, tenant)
}

// AllQuotas implements quota.Store.
func (s *Store) AllQuotas(ctx context.Context) ([]*quota.Quota, error) {
	return s.listQuotas(ctx, selectQuota+`ORDER BY tenant, kind, name`)
}

func (s *Store) listQuotas(ctx context.Context, text string, args ...any) ([]*quota.Quota, error) {
	all, err := list(ctx, s.read, scanQuota, text, args...)
	if err != nil {
		return nil, fmt.Errorf("listing quotas: %w", err)
	}
	return all, nil
}
