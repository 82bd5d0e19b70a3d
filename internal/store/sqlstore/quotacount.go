package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
)

// heldPage reads the rows of an owner's certificates in the order of their ids, above
// the third parameter; $1 is the owner and $2 how many.
const heldPage = heldRows + `JOIN (
		SELECT id FROM (SELECT id FROM certificate WHERE tenant = $1 AND owner = $1 AND id > $3 ORDER BY id LIMIT $2) a
		UNION ALL SELECT id FROM (SELECT id FROM certificate WHERE owner = $1 AND owner <> tenant AND id > $3 ORDER BY id LIMIT $2) b
		ORDER BY id LIMIT $2) p ON p.id = c.id ORDER BY c.id`

// page returns up to limit rows of an owner's certificates with ids above after, and
// what they stand for, nil for those that do not count.
func (s *Store) heldPage(ctx context.Context, from source, owner, after int64, limit int) (rows []heldRow, counts []*held, err error) {
	rows, err = list(ctx, from, scanHeld, heldPage, owner, limit, after)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what counts against quotas: %w", err)
	}
	counts = make([]*held, len(rows))
	for i := range rows {
		if counts[i], err = s.held(ctx, from, &rows[i]); err != nil {
			return nil, nil, err
		}
	}
	return rows, counts, nil
}

// CountQuotas implements quota.Store.
func (s *Store) CountQuotas(ctx context.Context, limit int) (more bool, err error) {
	err = s.update(ctx, func(t *tx) error {
		left := limit
		counting, err := t.countingQuotas()
		for _, c := range counting {
			if err == nil && left > 0 {
				left, err = t.countQuota(c, left)
			}
		}
		more = left == 0
		return err
	})
	return more, err
}

// A countedQuota is a quota that is being counted.
type countedQuota struct {
	tenant pki.TenantID
	of     *tenantQuotas
	*quotaRow
}

// countingQuotas returns the quotas that are being counted, the oldest first.
func (t *tx) countingQuotas() ([]countedQuota, error) {
	if _, err := t.quotasOf(""); err != nil {
		return nil, err
	}
	var all []countedQuota
	for tenant, q := range t.s.quotas.by {
		for _, r := range q.by {
			if r.counting {
				all = append(all, countedQuota{tenant, q, r})
			}
		}
	}
	slices.SortFunc(all, func(a, b countedQuota) int { return cmp.Compare(a.num, b.num) })
	return all, nil
}

// countQuota looks at up to limit certificates and returns how many more it might
// have looked at.
func (t *tx) countQuota(c countedQuota, limit int) (left int, err error) {
	owner, err := t.intern(tenantRef(c.tenant))
	if err != nil {
		return 0, err
	}
	rows, counts, err := t.s.heldPage(context.Background(), t, owner, c.position, limit)
	if err != nil {
		return 0, err
	}
	for i, h := range counts {
		if c.position = rows[i].id; h != nil && h.intent <= c.barrier && slices.Contains(c.of.bounding(h), c.quotaRow) {
			c.used++
		}
	}
	t.touch(c.quotaRow)
	if len(rows) == limit {
		return 0, nil
	}
	open, err := one(context.Background(), t, scanInt, `SELECT count(*) FROM intent WHERE state = 'open' AND num <= $1`, c.barrier)
	if err != nil {
		return 0, fmt.Errorf("looking for intents from before a quota: %w", err)
	}
	c.counting = open > 0
	return limit - len(rows), nil
}

// QuotaHeld implements check.Store.
func (s *Store) QuotaHeld(ctx context.Context, q *quota.Quota) (int64, error) {
	var n int64
	err := s.read.snapshot(ctx, func(from source) error {
		n = 0
		r, err := one(ctx, from, func(row row) (*quotaRow, error) {
			_, r, err := scanQuotaRow(row)
			return r, err
		}, selectQuotaRow+` WHERE q.tenant = $1 AND q.kind = $2 AND q.name = $3`, q.Tenant, q.Kind, q.Name)
		if r, err = found(r, err, "quota for %s", q.Target); err != nil {
			return err
		}
		alone := newTenantQuotas()
		alone.add(r)
		add := func(h *held) {
			if h != nil && h.owner == q.Tenant && len(alone.bounding(h)) > 0 && r.has(h) {
				n++
			}
		}
		if err := s.eachIntended(ctx, from, r.barrier, add); err != nil {
			return err
		}
		owner, err := s.findRef(ctx, tenantRef(q.Tenant))
		if err != nil {
			return err
		}
		for after, full := int64(0), true; full; {
			rows, counts, err := s.heldPage(ctx, from, owner, after, scanBound)
			if err != nil {
				return err
			}
			for i, h := range counts {
				after = rows[i].id
				add(h)
			}
			full = len(rows) == scanBound
		}
		return nil
	})
	return n, err
}

// eachIntended calls f with what each item of an open intent above a number is to be.
func (s *Store) eachIntended(ctx context.Context, from source, above int64, f func(*held)) error {
	type intended struct {
		num, issuer int64
		payload     []byte
	}
	open, err := list(ctx, from, func(row row) (i intended, err error) {
		return i, row.Scan(&i.num, &i.issuer, &i.payload)
	}, `SELECT num, issuer, payload FROM intent WHERE state = 'open' AND num > $1`, above)
	if err != nil {
		return fmt.Errorf("reading open intents: %w", err)
	}
	for _, i := range open {
		name, err := s.refOf(ctx, from, i.issuer)
		if err != nil {
			return err
		}
		issuer, err := s.issuerInfo(ctx, pki.IssuerID(name.text))
		if err != nil {
			return err
		}
		items, err := decodePayload(i.payload, storeResolver{s, ctx, from})
		if err != nil {
			return fmt.Errorf("intent %d: %w", i.num, err)
		}
		for _, it := range items {
			if quota.Counts(it.Row, it.Actor) {
				f(heldItem(i.num, issuer, it))
			}
		}
	}
	return nil
}

// A storeResolver resolves outside of a transaction that writes.
type storeResolver struct {
	s    *Store
	ctx  context.Context
	from source
}

func (r storeResolver) refOf(num int64) (ref, error) { return r.s.refOf(r.ctx, r.from, num) }

func (r storeResolver) reference(num int64) (*reference, error) {
	return r.s.referenceByNum(r.ctx, r.from, num)
}
