package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/expiry"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// ending is a certificate as it is counted.
type ending struct {
	owner, profile int64
	month          expiry.Month
}

// CountExpiry implements expiry.Store. Certificates have ids in the order in which
// they were committed, so those above the last that was counted are all there is.
func (s *Store) CountExpiry(ctx context.Context, limit int) (int, error) {
	counted := 0
	err := s.update(ctx, func(t *tx) error {
		counted = 0
		last, err := one(ctx, t, scanInt, `SELECT coalesce(max(value), 0) FROM counter WHERE name = 'expiry'`)
		if err != nil {
			return err
		}
		counts := make(map[ending]int64)
		rows, err := list(ctx, t, func(row row) (e ending, err error) {
			var notAfter time.Time
			if err = row.Scan(&last, &e.owner, &e.profile, intoTime{&notAfter}); err == nil {
				e.month = expiry.MonthOf(notAfter)
			}
			return e, err
		}, `SELECT id, owner, profile, not_after FROM certificate WHERE id > $1 ORDER BY id LIMIT $2`, last, limit)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, e := range rows {
			counts[e]++
		}
		for e, n := range counts {
			if _, err := t.exec(`INSERT INTO expiry_count (owner, month, profile, count) VALUES ($1, $2, $3, $4)
				ON CONFLICT (owner, month, profile) DO UPDATE SET count = expiry_count.count + excluded.count`, e.owner, e.month, e.profile, n); err != nil {
				return err
			}
		}
		counted = len(rows)
		_, err = t.exec(`INSERT INTO counter (name, value) VALUES ('expiry', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, last)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("counting certificates by expiry: %w", err)
	}
	return counted, nil
}

// ExpiryCounts implements expiry.Store.
func (s *Store) ExpiryCounts(ctx context.Context, owner pki.TenantID, from, to expiry.Month) ([]expiry.Count, error) {
	who, err := s.findRef(ctx, tenantRef(owner))
	if err != nil {
		return nil, err
	}
	type counted struct {
		expiry.Count
		profile int64
	}
	rows, err := list(ctx, s.read, func(row row) (c counted, err error) {
		return c, row.Scan(&c.Month, &c.profile, &c.Count.Count)
	}, `SELECT month, profile, count FROM expiry_count WHERE owner = $1 AND month >= $2 AND month <= $3 ORDER BY month, profile`, who, from, to)
	if err != nil {
		return nil, fmt.Errorf("reading counts by expiry: %w", err)
	}
	counts := make([]expiry.Count, len(rows))
	for i, c := range rows {
		ref, err := s.refOf(ctx, s.read, c.profile)
		if err != nil {
			return nil, err
		}
		if c.Profile, err = ref.profile(); err != nil {
			return nil, err
		}
		counts[i] = c.Count
	}
	return counts, nil
}

// InForce implements revocation.JobStore, from the counts by expiry.
func (s *Store) InForce(ctx context.Context, tenant pki.TenantID, now time.Time) (int64, error) {
	owner, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return 0, err
	}
	n, err := one(ctx, s.read, scanInt, `SELECT coalesce(sum(count), 0) FROM expiry_count WHERE owner = $1 AND month >= $2`, owner, expiry.MonthOf(now))
	if err != nil {
		return 0, fmt.Errorf("counting the certificates in force: %w", err)
	}
	return n, nil
}

// Credentials implements expiry.Store.
func (s *Store) Credentials(ctx context.Context, tenant pki.TenantID) ([]*keystore.Credential, error) {
	all, err := list(ctx, s.read, scanCredential, selectCredential+`WHERE tenant = $1 ORDER BY name`, tenant)
	if err != nil {
		return nil, fmt.Errorf("listing credentials: %w", err)
	}
	return all, nil
}
