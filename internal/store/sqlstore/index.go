package sqlstore

import (
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// An indexedItem is a certificate of an authority that keeps indexes.
type indexedItem struct {
	tenant   int64 // of its issuer
	owner    int64
	sum      [32]byte // SHA-256 of der
	notAfter time.Time
	der      []byte // nil where it is damaged
}

// index stores the rows of indexes for the certificate with the given id, but for rows
// that are there.
func (t *tx) index(indexes []pki.SearchIndex, id int64, x *indexedItem) error {
	tenants := []int64{x.tenant}
	if x.owner != x.tenant {
		tenants = append(tenants, x.owner)
	}
	for _, index := range indexes {
		if x.der == nil && index != pki.IndexExpiry {
			continue
		}
		var err error
		switch index {
		case pki.IndexFingerprint:
			_, err = t.exec(`INSERT INTO certificate_fingerprint (fp8, certificate) VALUES ($1, $2) ON CONFLICT DO NOTHING`, x.sum[:8], id)
		case pki.IndexSubject:
			for _, token := range subjectTokens(x.der) {
				for _, tenant := range tenants {
					if err == nil {
						_, err = t.exec(`INSERT INTO certificate_subject (tenant, token, certificate) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, tenant, token, id)
					}
				}
			}
		case pki.IndexExpiry:
			for _, tenant := range tenants {
				if err == nil {
					_, err = t.exec(`INSERT INTO certificate_expiry (tenant, not_after, certificate) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, tenant, micros(x.notAfter), id)
				}
			}
		}
		if err != nil {
			return fmt.Errorf("indexing the certificate by %s: %w", index, err)
		}
	}
	return nil
}
