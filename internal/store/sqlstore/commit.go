package sqlstore

import (
	"context"
	"crypto/sha256"
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
		return t.moveSome()
	})
}

// register stores new intents whose items have their DER, with their records. An error
// says that nothing may be stored.
func (t *tx) register(signed []*issuance.Intent, now time.Time) error {
	if err := t.tick(now); err != nil {
		return err
	}
	for _, in := range signed {
		if err := t.intend(in, now); err != nil {
			return fmt.Errorf("storing intent %s: %w", in.ID, err)
		}
		if in.Err != nil {
			return in.Err
		}
		for _, it := range in.Items {
			if it.Refused != nil {
				return it.Refused
			}
		}
		if err := t.record(in, now); err != nil {
			return fmt.Errorf("recording intent %s: %w", in.ID, err)
		}
	}
	return t.moveSome()
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
	file, err := t.fileOf(batch)
	if err != nil {
		return err
	}
	if err := t.claims(num, issuer, file, in.Items, now); err != nil {
		return err
	}
	kept := make([]*issuance.Item, 0, len(in.Items))
	for _, it := range in.Items {
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
	sums := sumsOf(kept)
	payload, err := t.encodePayload(issuer.num, kept, sums, now)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(sums)
	_, err = t.exec(`UPDATE intent SET count = $1, digest = $2, payload = $3 WHERE num = $4`, len(kept), digest[:], payload, num)
	return err
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
