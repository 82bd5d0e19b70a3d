package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
)

// ScanCertificates implements check.Store.
func (s *Store) ScanCertificates(ctx context.Context, after int64, limit int) ([]*pki.Certificate, int64, error) {
	rows, err := list(ctx, s.read, scanCertificate, selectCertificate+`WHERE c.id > $1 ORDER BY c.id LIMIT $2`, after, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("reading certificates: %w", err)
	}
	certs := make([]*pki.Certificate, len(rows))
	for i, c := range rows {
		if certs[i], err = s.certificate(ctx, c); err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, errNoName) {
			return nil, 0, err
		}
		after = c.id
	}
	return certs, after, nil
}

// ScanIntents implements check.Store.
func (s *Store) ScanIntents(ctx context.Context, after pki.IntentID, limit int) ([]check.IntentRecord, error) {
	intents, err := list(ctx, s.read, func(row row) (i check.IntentRecord, err error) {
		var voided []byte
		if err := row.Scan(&i.ID, &i.Issuer, &i.State, &i.Count, intoArray(i.Digest[:]), &voided); err != nil {
			return i, err
		}
		if i.Voided, err = decodeVoided(voided); err != nil {
			return i, fmt.Errorf("void items of intent %s: %w", i.ID, err)
		}
		return i, nil
	}, `SELECT i.id, coalesce(r.text, ''), i.state, i.count, i.digest, i.voided FROM intent i LEFT JOIN ref r ON r.num = i.issuer
		WHERE i.id > $1 ORDER BY i.id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading intents: %w", err)
	}
	return intents, nil
}
