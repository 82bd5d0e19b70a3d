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

// The states of an intent and of a batch's chunk are written out in the
// statements: 'open', 'closed', 'void', and 'pending', 'claimed', 'closed'.

// Commit implements issuance.Store. An intent of an issuer that is not in the
// store gets NotFound as its Err.
//
// The records come first: what a void item gives up, a new intent of the same
// call can claim.
func (s *Store) Commit(ctx context.Context, now time.Time, records, intents []*issuance.Intent) error {
	return s.update(ctx, func(t *tx) error {
		if err := t.tick(now); err != nil {
			return err
		}
		for _, in := range records {
			if err := t.record(in, now); err != nil {
				return fmt.Errorf("recording intent %s: %w", in.ID, err)
			}
		}
		for _, in := range intents {
			if err := t.intend(in, now); err != nil {
				return fmt.Errorf("storing intent %s: %w", in.ID, err)
			}
		}
		return nil
	})
}

// Register implements issuance.Store.
func (s *Store) Register(ctx context.Context, now time.Time, signed *issuance.Intent) error {
	return s.update(ctx, func(t *tx) error {
		if err := t.tick(now); err != nil {
			return err
		}
		if err := t.intend(signed, now); err != nil {
			return fmt.Errorf("storing intent %s: %w", signed.ID, err)
		}
		if signed.Err != nil {
			return signed.Err
		}
		for _, it := range signed.Items {
			if it.Refused != nil {
				return it.Refused
			}
		}
		if err := t.record(signed, now); err != nil {
			return fmt.Errorf("recording intent %s: %w", signed.ID, err)
		}
		return nil
	})
}

// intend stores a new intent and sets its and its items' outcomes. No log, no
// issuance: where the log's gate is closed, Err says so.
func (t *tx) intend(in *issuance.Intent, now time.Time) error {
	if in.Err = t.s.gate.Issue(in.Tenant); in.Err != nil {
		return nil
	}
	issuer, err := t.s.issuerInfo(context.Background(), in.Issuer)
	if pki.KindOf(err) == pki.NotFound {
		in.Err = err
		return nil
	}
	if err != nil {
		return err
	}
	var batch sql.NullInt64
	if in.Batch != "" {
		if batch, err = t.claimChunk(in.Batch, in.Chunk); err != nil {
			return err
		}
		if !batch.Valid {
			in.Err = pki.Errorf(pki.Conflict, "the batch is not running, or another worker has the chunk")
			return nil
		}
		for _, r := range in.Refusals {
			if err := t.refuse(batch.Int64, in.Chunk, r); err != nil {
				return err
			}
		}
	}
	num, err := one(context.Background(), t, scanInt,
		`INSERT INTO intent (id, issuer, tenant, node, epoch, attempt, state, batch, chunk, count, created, closed, digest, voided, payload)
		VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8, 0, $9, 0, $10, $10, $10) RETURNING num`,
		in.ID, issuer.num, issuer.tenant, in.Node, in.Epoch, in.Attempt, batch, in.Chunk, micros(now), []byte{})
	if err != nil {
		return err
	}
	kept := make([]*issuance.Item, 0, len(in.Items))
	for _, it := range in.Items {
		it.Refused, it.Earlier = nil, nil
		if err := t.claim(num, issuer.num, it, now); err != nil {
			return err
		}
		switch {
		case it.Refused == nil && it.Earlier == nil:
			kept = append(kept, it)
		case batch.Valid:
			refusal := issuance.Refusal{Row: it.Row, Device: it.Device, Placement: it.Placement, Kind: pki.KindOf(it.Refused), Reason: pki.DetailOf(it.Refused)}
			if err := t.refuse(batch.Int64, in.Chunk, refusal); err != nil {
				return err
			}
		}
	}
	if len(kept) == 0 {
		if _, err := t.exec(`DELETE FROM intent WHERE num = $1`, num); err != nil {
			return err
		}
		if batch.Valid {
			return t.closeChunk(batch.Int64, in.Chunk, 0)
		}
		return nil
	}
	payload, err := t.encodePayload(issuer.num, kept, now)
	if err != nil {
		return err
	}
	digest := digestOf(kept)
	_, err = t.exec(`UPDATE intent SET count = $1, digest = $2, payload = $3 WHERE num = $4`, len(kept), digest[:], payload, num)
	return err
}

// claim claims an item's idempotency key and its key for an intent, or sets
// Earlier or Refused and claims nothing.
func (t *tx) claim(intent, issuer int64, it *issuance.Item, now time.Time) error {
	owner, err := t.intern(tenantRef(it.Owner))
	if err != nil {
		return err
	}
	if it.Idempotency != "" {
		rows, err := t.exec(`INSERT INTO idempotency (owner, key, request_hash, intent, issuer, serial, created)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			owner, it.Idempotency, it.RequestHash[:], intent, issuer, it.Serial[:], micros(now))
		if err != nil {
			return fmt.Errorf("claiming an idempotency key: %w", err)
		}
		if rows == 0 {
			return t.findEarlier(owner, it)
		}
	}
	err = t.refuseClosed(it)
	if err == nil && it.Refused == nil && !it.SharedKey {
		err = t.claimKey(intent, owner, it)
	}
	if err != nil || it.Refused == nil || it.Idempotency == "" {
		return err
	}
	// A refused request may come again with another key under the same
	// idempotency key.
	return t.giveUpIdempotency(intent, owner, it)
}

// findEarlier sets Earlier to what the item's idempotency key led to before, or
// Refused where that was another request.
func (t *tx) findEarlier(owner int64, it *issuance.Item) error {
	var hash [32]byte
	earlier, err := one(context.Background(), t, func(row row) (*issuance.Earlier, error) {
		e := new(issuance.Earlier)
		return e, row.Scan(intoArray(hash[:]), &e.Intent, &e.Issuer, intoArray(e.Serial[:]))
	}, `SELECT k.request_hash, i.id, r.text, k.serial FROM idempotency k
		JOIN intent i ON i.num = k.intent JOIN ref r ON r.num = k.issuer
		WHERE k.owner = $1 AND k.key = $2`, owner, it.Idempotency)
	switch {
	case err != nil:
		return fmt.Errorf("reading an idempotency key: %w", err)
	case hash != it.RequestHash:
		it.Refused = pki.Errorf(pki.Conflict, "the idempotency key was used for another request")
	default:
		it.Earlier = earlier
	}
	return nil
}

// claimKey claims the item's key for its device, or sets Refused.
func (t *tx) claimKey(intent, owner int64, it *issuance.Item) error {
	hash := it.KeyHash[:keyHashSize]
	rows, err := t.exec(`INSERT INTO key_use (owner, hash, device, intent) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		owner, hash, it.Device, intent)
	if err != nil {
		return fmt.Errorf("claiming a key: %w", err)
	}
	if rows > 0 {
		return nil
	}
	device, err := one(context.Background(), t, func(row row) (d pki.DeviceID, err error) {
		err = row.Scan(&d)
		return d, err
	}, `SELECT device FROM key_use WHERE owner = $1 AND hash = $2`, owner, hash)
	switch {
	case err != nil:
		return fmt.Errorf("reading a key's use: %w", err)
	case device != it.Device:
		it.Refused = pki.Errorf(pki.DuplicateKey, "the key belongs to another device; the profile allows that only with 'reuse: shared'")
		return nil
	case !it.RenewSameKey:
		it.Refused = pki.Errorf(pki.DuplicateKey, "the key has a certificate already; the profile allows another only with 'renew: same-key'")
		return nil
	}
	// Two intents rely on the claim now: it stays, whatever becomes of either.
	_, err = t.exec(`UPDATE key_use SET intent = 0 WHERE owner = $1 AND hash = $2 AND intent <> 0`, owner, hash)
	return err
}

// keyHashSize is how much of a key's hash is kept: a second key with the same 16
// bytes costs 2^64 keys to find, and gains nothing but a refusal.
const keyHashSize = 16

func (t *tx) giveUpIdempotency(intent, owner int64, it *issuance.Item) error {
	_, err := t.exec(`DELETE FROM idempotency WHERE owner = $1 AND key = $2 AND intent = $3`, owner, it.Idempotency, intent)
	return err
}

// PurgeIdempotency forgets up to limit idempotency keys that were claimed before
// the given time and returns how many. Their requests, sent again, are new ones.
func (s *Store) PurgeIdempotency(ctx context.Context, before time.Time, limit int) (int, error) {
	var purged int64
	err := s.update(ctx, func(t *tx) (err error) {
		purged, err = t.exec(`DELETE FROM idempotency WHERE (owner, key) IN
			(SELECT k.owner, k.key FROM idempotency k JOIN intent i ON i.num = k.intent
				WHERE k.created < $1 AND i.state <> 'open' ORDER BY k.created LIMIT $2)`, micros(before), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("purging idempotency keys: %w", err)
	}
	return int(purged), nil
}

// Open implements issuance.Store.
func (s *Store) Open(ctx context.Context, id pki.IntentID) (bool, error) {
	_, err := one(ctx, s.read, scanInt, `SELECT 1 FROM intent WHERE id = $1 AND state = 'open'`, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading intent %s: %w", id, err)
	}
	return true, nil
}
