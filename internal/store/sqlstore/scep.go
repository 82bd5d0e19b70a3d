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
	other := pki.Errorf(pki.Conflict, "the transaction %.60q is that of another key: begin one with an identifier of its own", asked.ID)
	got, err := s.SCEPTransaction(ctx, asked.Tenant, asked.Endpoint, asked.ID, asked.Signer)
	if pki.KindOf(err) == pki.NotFound {
		err = s.update(ctx, func(t *tx) error {
			taken, err := one(ctx, t, scanInt, takenSCEP, asked.Tenant, asked.Endpoint, asked.ID, asked.Signer[:], asked.Principal)
			switch {
			case err != nil:
				return fmt.Errorf("looking for a SCEP transaction: %w", err)
			case taken > 0:
				return other
			}
			_, err = t.exec(`INSERT INTO scep_transaction (tenant, endpoint, id, signer, key, begun, request, renews, principal)
				VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) ON CONFLICT DO NOTHING`,
				asked.Tenant, asked.Endpoint, asked.ID, asked.Signer[:], asked.Key[:], micros(asked.Begun), []byte{}, asked.Principal)
			if err != nil {
				return fmt.Errorf("storing a SCEP transaction: %w", err)
			}
			got, err = one(ctx, t, scanSCEP, selectSCEP, asked.Tenant, asked.Endpoint, asked.ID, asked.Signer[:])
			return err
		})
	}
	if err == nil && got.Key != asked.Key {
		return nil, other
	}
	return got, err
}

// takenSCEP counts the other keys for which a principal has an identifier.
const takenSCEP = `SELECT count(*) FROM scep_transaction WHERE tenant = $1 AND endpoint = $2 AND id = $3 AND signer <> $4 AND principal = $5`

// KeepSCEP implements scep.Store.
func (s *Store) KeepSCEP(ctx context.Context, t *scep.Transaction) error {
	return s.update(ctx, func(tx *tx) error {
		rows, err := tx.exec(`UPDATE scep_transaction SET request = $1, renews = $2, principal = $3
			WHERE tenant = $4 AND endpoint = $5 AND id = $6 AND signer = $7`,
			bytesOf(t.Request), number(t.Renews), t.Principal, t.Tenant, t.Endpoint, t.ID, t.Signer[:])
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
	WHERE tenant = $1 AND endpoint = $2 AND id = $3 AND signer = $4`

func scanSCEP(row row) (*scep.Transaction, error) {
	t := new(scep.Transaction)
	err := row.Scan(&t.Tenant, &t.Endpoint, &t.ID, intoArray(t.Signer[:]), intoArray(t.Key[:]), intoTime{&t.Begun}, intoBytes{&t.Request}, &t.Renews, &t.Principal)
	if len(t.Request) == 0 {
		t.Request = nil
	}
	return t, err
}

// SCEPTransaction implements scep.Store.
func (s *Store) SCEPTransaction(ctx context.Context, tenant pki.TenantID, endpoint, id string, signer [32]byte) (*scep.Transaction, error) {
	t, err := one(ctx, s.read, scanSCEP, selectSCEP, tenant, endpoint, id, signer[:])
	return found(t, err, "transaction %q", id)
}

// renewalOf looks at so many certificates of a device as came first after another.
const renewalOf = selectCertificate + `WHERE c.id IN (SELECT d.id FROM certificate d WHERE d.owner = $1 AND d.device = $2 AND d.device <> ''
		AND d.id > (SELECT o.id FROM certificate o WHERE o.serial = $3 AND o.issuer = $4) ORDER BY d.id LIMIT 64)
	AND c.request = $5 ORDER BY c.id DESC LIMIT 1`

// RenewalOf implements scep.Certificates.
func (s *Store) RenewalOf(ctx context.Context, old *pki.Certificate, request []byte) (*pki.Certificate, error) {
	owner, err := s.findRef(ctx, tenantRef(old.Owner))
	if err != nil {
		return nil, err
	}
	issuer, err := s.findRef(ctx, issuerRef(old.Issuer))
	if err != nil {
		return nil, err
	}
	c, err := one(ctx, s.read, scanCertificate, renewalOf, owner, string(old.Device), old.Serial[:], issuer, request)
	if c, err = found(c, err, "certificate that the request renewed %s by", old.Serial); err != nil {
		return nil, err
	}
	return s.certificate(ctx, c)
}

const purgeSCEP = `DELETE FROM scep_transaction WHERE (tenant, endpoint, id, signer) IN
	(SELECT tenant, endpoint, id, signer FROM scep_transaction WHERE begun < $1 ORDER BY begun LIMIT $2)`

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
