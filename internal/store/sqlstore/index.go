package sqlstore

import (
	"fmt"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// An indexedItem is a certificate of an authority that keeps indexes.
type indexedItem struct {
	owner int64
	sum   [32]byte
	*issuance.Item
}

// index stores the rows of the indexes that the authority keeps, for the
// certificate with the given id.
func (r *recording) index(id int64, x *indexedItem) error {
	tenants := []int64{r.issuer.tenant}
	if x.owner != r.issuer.tenant {
		tenants = append(tenants, x.owner)
	}
	for _, index := range r.issuer.indexes {
		var err error
		switch index {
		case pki.IndexFingerprint:
			_, err = r.exec(`INSERT INTO certificate_fingerprint (fp8, certificate) VALUES ($1, $2)`, x.sum[:8], id)
		case pki.IndexSubject:
			for _, token := range subjectTokens(x.DER) {
				for _, tenant := range tenants {
					if err == nil {
						_, err = r.exec(`INSERT INTO certificate_subject (tenant, token, certificate) VALUES ($1, $2, $3)`, tenant, token, id)
					}
				}
			}
		case pki.IndexExpiry:
			for _, tenant := range tenants {
				if err == nil {
					_, err = r.exec(`INSERT INTO certificate_expiry (tenant, not_after, certificate) VALUES ($1, $2, $3)`, tenant, micros(x.NotAfter), id)
				}
			}
		}
		if err != nil {
			return fmt.Errorf("indexing the certificate by %s: %w", index, err)
		}
	}
	return nil
}
