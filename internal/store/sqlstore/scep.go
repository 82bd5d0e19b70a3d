package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/proto/scep"
)

// BeginSCEP implements scep.Store.
func (s *Store) BeginSCEP(ctx context.Context, asked *scep.Transaction) (*scep.Transaction, error) {
	got, err := s.SCEPTransaction(ctx, asked.Tenant, asked.Endpoint, asked.ID)
	if pki.KindOf(err) == pki.NotFound {
		err = s.update(ctx, func(t *tx) error {
			_, err := t.exec(`INSERT INTO scep_transaction (tenant, endpoint, id, signer, key, begun, request, renews, principal)
				VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '') ON CONFLICT DO NOTHING`,
				asked.Tenant, asked.Endpoint, asked.ID, asked.Signer[:], asked.Key[:], micros(asked.Begun), []byte{})
			if err != nil {
				return fmt.Errorf("storing a SCEP transaction: %w", err)
			}
			got, err = one(ctx, t, scanSCEP, selectSCEP, asked.Tenant, asked.Endpoint, asked.ID)
			return err
		})
	}
	if err == nil && (got.Signer != asked.Signer || got.Key != asked.Key) {
		return nil, pki.Errorf(pki.Conflict, "the transaction %.60q is that of another key: begin one with an identifier of its own", asked.ID)
	}
	return got, err
}

// KeepSCEP implements scep.Store.
func (s *Store) KeepSCEP(ctx context.Context, t *scep.Transaction) error {
	return s.update(ctx, func(tx *tx) error {
		rows, err := tx.exec(`UPDATE scep_transaction SET request = $1, renews = $2, principal = $3 WHERE tenant = $4 AND endpoint = $5 AND id = $6`,
			bytesOf(t.Request), number(t.Renews), t.Principal, t.Tenant, t.Endpoint, t.ID)
		switch {
		case err != nil:
			return fmt.Errorf("storing the request of a SCEP transaction: %w", err)
		case rows == 0:
			return pki.Errorf(pki.NotFound, "no transaction %.60q", t.ID)
		}
		return nil
	})
}

const selectSCEP = `SELECT tenant, endpoint, id, signer, key, begun, request, renews, principal FROM scep_transaction
	WHERE tenant = $1 AND endpoint = $2 AND id = $3`

func scanSCEP(row row) (*scep.Transaction, error) {
	t := new(scep.Transaction)
	err := row.Scan(&t.Tenant, &t.Endpoint, &t.ID, intoArray(t.Signer[:]), intoArray(t.Key[:]), intoTime{&t.Begun}, intoBytes{&t.Request}, &t.Renews, &t.Principal)
	if len(t.Request) == 0 {
		t.Request = nil
	}
	return t, err
}

// SCEPTransaction implements scep.Store.
func (s *Store) SCEPTransaction(ctx context.Context, tenant pki.TenantID, endpoint, id string) (*scep.Transaction, error) {
	t, err := one(ctx, s.read, scanSCEP, selectSCEP, tenant, endpoint, id)
	return found(t, err, "transaction %q", id)
}

const purgeSCEP = `DELETE FROM scep_transaction WHERE (tenant, endpoint, id) IN
	(SELECT tenant, endpoint, id FROM scep_transaction WHERE begun < $1 ORDER BY begun LIMIT $2)`

// PurgeSCEP forgets up to limit transactions that were begun before the given time, and
// returns how many.
func (s *Store) PurgeSCEP(ctx context.Context, before time.Time, limit int) (int, error) {
	var purged int64
	err := s.update(ctx, func(t *tx) (err error) {
		purged, err = t.exec(purgeSCEP, micros(before), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("purging SCEP transactions: %w", err)
	}
	return int(purged), nil
}
