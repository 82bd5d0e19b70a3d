package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/enrolauth"
)

// PutNotice implements enrolauth.NoticeStore.
func (s *Store) PutNotice(ctx context.Context, n *enrolauth.Notice) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO validator_notice (tenant, key, idempotency, endpoint, validator, transaction_id, protocol, device, sealed, due, until, failure, attempts)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
			ON CONFLICT (tenant, key) DO UPDATE SET
				idempotency = CASE WHEN excluded.idempotency = '' THEN validator_notice.idempotency ELSE excluded.idempotency END,
				validator = excluded.validator, sealed = excluded.sealed, due = excluded.due, until = excluded.until, failure = excluded.failure, attempts = excluded.attempts`,
			n.Tenant, n.Key, n.Idempotency, n.Endpoint, n.Validator, n.Transaction, n.Protocol, n.Device, n.Sealed, micros(n.Due), micros(n.Until), n.Failure, n.Attempts)
		if err != nil {
			return fmt.Errorf("storing what a validator is to be told: %w", err)
		}
		return nil
	})
}

// noticeValidators goes from name to name in the index: there may be many rows of each.
const noticeValidators = `WITH RECURSIVE s (validator) AS (
		SELECT MIN(validator) FROM validator_notice
		UNION ALL SELECT (SELECT MIN(n.validator) FROM validator_notice n WHERE n.validator > s.validator) FROM s WHERE s.validator IS NOT NULL)
	SELECT validator FROM s WHERE validator IS NOT NULL`

// NoticeValidators implements enrolauth.NoticeStore.
func (s *Store) NoticeValidators(ctx context.Context) ([]string, error) {
	all, err := list(ctx, s.read, func(row row) (name string, err error) { return name, row.Scan(&name) }, noticeValidators)
	if err != nil {
		return nil, fmt.Errorf("listing whom something is to be told: %w", err)
	}
	return all, nil
}

const dueNotices = `SELECT tenant, key, idempotency, endpoint, validator, transaction_id, protocol, device, sealed, due, until, failure, attempts FROM validator_notice
	WHERE validator = $1 AND due <= $2 ORDER BY due LIMIT $3`

// DueNotices implements enrolauth.NoticeStore.
func (s *Store) DueNotices(ctx context.Context, validator string, at time.Time, limit int) ([]*enrolauth.Notice, error) {
	all, err := list(ctx, s.read, func(row row) (*enrolauth.Notice, error) {
		n := new(enrolauth.Notice)
		err := row.Scan(&n.Tenant, &n.Key, &n.Idempotency, &n.Endpoint, &n.Validator, &n.Transaction, &n.Protocol, &n.Device, intoBytes{&n.Sealed}, intoTime{&n.Due}, intoTime{&n.Until}, &n.Failure, &n.Attempts)
		return n, err
	}, dueNotices, validator, micros(at), limit)
	if err != nil {
		return nil, fmt.Errorf("listing what validators are to be told: %w", err)
	}
	return all, nil
}

// PostponeNotice implements enrolauth.NoticeStore.
func (s *Store) PostponeNotice(ctx context.Context, read *enrolauth.Notice, due time.Time, attempts int) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE validator_notice SET due = $5, attempts = $6 WHERE tenant = $1 AND key = $2 AND due = $3 AND sealed = $4`,
			read.Tenant, read.Key, micros(read.Due), read.Sealed, micros(due), attempts)
		if err != nil {
			return fmt.Errorf("putting off what a validator is to be told: %w", err)
		}
		return nil
	})
}

// DropNotice implements enrolauth.NoticeStore.
func (s *Store) DropNotice(ctx context.Context, read *enrolauth.Notice) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM validator_notice WHERE tenant = $1 AND key = $2 AND due = $3 AND sealed = $4`, read.Tenant, read.Key, micros(read.Due), read.Sealed)
		if err != nil {
			return fmt.Errorf("deleting what a validator was told: %w", err)
		}
		return nil
	})
}
