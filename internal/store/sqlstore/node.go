package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// Enter implements issuance.Store.
func (s *Store) Enter(ctx context.Context, node string, until time.Time) (int64, error) {
	var epoch int64
	err := s.update(ctx, func(t *tx) (err error) {
		epoch, err = one(ctx, t, scanInt, `INSERT INTO counter (name, value) VALUES ('epoch', 1)
			ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value`)
		if err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO node (node, epoch, until_at) VALUES ($1, $2, $3)
			ON CONFLICT (node) DO UPDATE SET epoch = excluded.epoch, until_at = excluded.until_at`, node, epoch, micros(until))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("registering node %s: %w", node, err)
	}
	return epoch, nil
}

// Stay implements issuance.Store.
func (s *Store) Stay(ctx context.Context, node string, epoch int64, until time.Time) error {
	return s.update(ctx, func(t *tx) error {
		rows, err := t.exec(`UPDATE node SET until_at = $1 WHERE node = $2 AND epoch = $3`, micros(until), node, epoch)
		switch {
		case err != nil:
			return fmt.Errorf("prolonging node %s: %w", node, err)
		case rows == 0:
			return issuance.ErrFenced
		}
		return nil
	})
}

// An orphan is an open intent whose node is gone.
type orphan struct {
	num, issuer, tenant int64
	batch               sql.NullInt64
	epoch               int64
	payload             []byte
	digest              [32]byte
	in                  issuance.Intent
}

func scanOrphan(row row) (*orphan, error) {
	o := new(orphan)
	return o, row.Scan(&o.num, &o.in.ID, &o.issuer, &o.tenant, &o.batch, &o.in.Chunk, &o.epoch, &o.in.Attempt, &o.payload, intoArray(o.digest[:]))
}

// Adopt implements issuance.Store. ErrFenced where epoch is not node's latest. An
// intent of node's own present epoch is never adopted: it is in its hands already.
// One whose row is damaged stays as it is; the error, with which the others are
// returned, names it.
func (s *Store) Adopt(ctx context.Context, node string, epoch int64, now time.Time, limit int) ([]*issuance.Intent, error) {
	var adopted []*issuance.Intent
	var damaged []error
	err := s.update(ctx, func(t *tx) error {
		adopted, damaged = nil, nil
		latest, err := one(ctx, t, scanInt, `SELECT epoch FROM node WHERE node = $1`, node)
		if errors.Is(err, sql.ErrNoRows) || err == nil && latest != epoch {
			return issuance.ErrFenced
		}
		if err != nil {
			return err
		}
		for after := int64(0); len(adopted) < limit; {
			orphans, err := list(ctx, t, scanOrphan,
				`SELECT i.num, i.id, i.issuer, i.tenant, i.batch, i.chunk, i.epoch, i.attempt, i.payload, i.digest
				FROM intent i LEFT JOIN node n ON n.node = i.node
				WHERE i.state = 'open' AND (i.node <> $1 OR i.epoch <> $2)
					AND (i.node = $1 AND i.epoch < $2 OR n.node IS NULL OR n.until_at < $3) AND i.num > $4
				ORDER BY i.num LIMIT $5`, node, epoch, micros(now), after, limit-len(adopted))
			if err != nil {
				return err
			}
			if len(orphans) == 0 {
				return nil
			}
			for _, o := range orphans {
				after = o.num
				if err := t.restore(o); err != nil { // however many cannot be read, they do not hold up the others
					damaged = append(damaged, fmt.Errorf("intent %s: %w", o.in.ID, err))
					continue
				}
				rows, err := t.exec(`UPDATE intent SET node = $1, epoch = $2, attempt = attempt + 1
					WHERE num = $3 AND state = 'open' AND epoch = $4 AND attempt = $5`, node, epoch, o.num, o.epoch, o.in.Attempt)
				if err != nil {
					return err
				}
				if rows == 0 {
					continue // recorded, or adopted by another, in the meantime
				}
				o.in.Node, o.in.Epoch = node, epoch
				o.in.Attempt++
				adopted = append(adopted, &o.in)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("adopting intents: %w", err)
	}
	if len(damaged) > 0 {
		return adopted, fmt.Errorf("adopting intents: %w", errors.Join(damaged...))
	}
	return adopted, nil
}

// restore fills in an adopted intent from what the store has of it.
func (t *tx) restore(o *orphan) error {
	issuer, err := t.refOf(o.issuer)
	if err != nil {
		return err
	}
	tenant, err := t.refOf(o.tenant)
	if err != nil {
		return err
	}
	o.in.Issuer, o.in.Tenant = pki.IssuerID(issuer.text), pki.TenantID(tenant.text)
	if o.in.Items, err = decodePayload(o.payload, t); err != nil {
		return err
	}
	if digestOf(o.in.Items) != o.digest {
		return errDamaged
	}
	if !o.batch.Valid {
		return nil
	}
	batch, err := t.refOf(o.batch.Int64)
	if err != nil {
		return err
	}
	o.in.Batch = pki.BatchID(batch.text)
	running, err := one(context.Background(), t, scanInt,
		`SELECT count(*) FROM batch b, issuer i JOIN authority a ON a.id = i.authority
		WHERE b.num = $1 AND b.state = 'running' AND i.num = $2 AND a.state = 'active'`, o.batch.Int64, o.issuer)
	o.in.Complete = running > 0
	return err
}
