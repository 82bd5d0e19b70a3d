package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// onceKey begins the idempotency keys of secrets for one certificate, issuerKey those of
// issuers' certificates.
var onceKey, issuerKey = enrolauth.OnceKey(""), enroll.IssuerKey("")

const purgeOrders = `DELETE FROM idempotency WHERE (owner, key) IN
	(SELECT k.owner, k.key FROM idempotency k JOIN intent i ON i.num = k.intent
		LEFT JOIN enrol_secret s ON s.id = substr(k.key, $3) AND k.key LIKE $4
		WHERE k.created < $1 AND i.state <> 'open' AND (s.id IS NULL OR s.expires < $1) AND k.key NOT LIKE $5 ORDER BY k.created LIMIT $2)`

// PurgeIdempotency forgets up to limit idempotency keys that were claimed before
// the given time and returns how many. Their requests, sent again, are new ones. That a
// secret for one certificate was used is not forgotten while it holds, and which
// certificate an issuer has never: there are few, and a rollover may go on much later.
func (s *Store) PurgeIdempotency(ctx context.Context, before time.Time, limit int) (int, error) {
	var purged int64
	err := s.moveBefore(ctx, micros(before))
	if err == nil {
		err = s.update(ctx, func(t *tx) (err error) {
			purged, err = t.exec(purgeOrders, micros(before), limit, len(onceKey)+1, onceKey+"%", issuerKey+"%")
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("purging idempotency keys: %w", err)
	}
	return int(purged), nil
}

// KeyUse implements enroll.Store. A key is in use from the intent on.
func (s *Store) KeyUse(ctx context.Context, owner pki.TenantID, keyHash [32]byte) (pki.DeviceID, bool, error) {
	num, err := s.findRef(ctx, tenantRef(owner))
	if err != nil {
		return "", false, err
	}
	id := keyID{num, [keyHashSize]byte(keyHash[:])}
	// Memory first: what it has no more is in the table by then.
	k, used, err := s.recentKey(ctx, id)
	if err != nil || used {
		return pki.DeviceID(k.device), used, err
	}
	device, err := one(ctx, s.read, func(row row) (d pki.DeviceID, err error) {
		err = row.Scan(&d)
		return d, err
	}, `SELECT device FROM key_use WHERE owner = $1 AND hash = $2`, num, id.hash[:])
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("reading a key's use: %w", err)
	}
	return device, true, nil
}

// Claimed implements enroll.Store.
func (s *Store) Claimed(ctx context.Context, owner pki.TenantID, idempotency string) (issuance.Earlier, [32]byte, error) {
	var none issuance.Earlier
	num, err := s.findRef(ctx, tenantRef(owner))
	if err != nil {
		return none, [32]byte{}, err
	}
	var o orderClaim
	var claimed bool
	// Memory first: what it has no more is in the table by then.
	err = s.readRecent(ctx, func(r *recent) { o, claimed = r.order(orderID{num, idempotency}) })
	if err == nil && !claimed {
		o, err = one(ctx, s.read, func(row row) (o orderClaim, err error) {
			err = row.Scan(intoArray(o.request[:]), &o.intent, &o.issuer, intoArray(o.serial[:]))
			return o, err
		}, `SELECT request_hash, intent, issuer, serial FROM idempotency WHERE owner = $1 AND key = $2`, num, idempotency)
		if errors.Is(err, sql.ErrNoRows) {
			return none, [32]byte{}, pki.Errorf(pki.NotFound, "the idempotency key is not claimed")
		}
	}
	if err != nil {
		return none, [32]byte{}, fmt.Errorf("reading an idempotency key: %w", err)
	}
	e, err := one(ctx, s.read, func(row row) (e issuance.Earlier, err error) {
		err = row.Scan(&e.Intent, &e.Issuer)
		return e, err
	}, selectEarlier, o.issuer, o.intent)
	switch {
	case claimed && errors.Is(err, sql.ErrNoRows): // memory has it while its transaction commits
		return none, [32]byte{}, pki.Errorf(pki.NotFound, "the idempotency key is being claimed at this moment")
	case err != nil:
		return none, [32]byte{}, fmt.Errorf("reading an idempotency key: %w", err)
	}
	e.Serial = o.serial
	return e, o.request, nil
}
