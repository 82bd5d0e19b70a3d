package issuance

import (
	"context"
	"crypto/sha256"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Registration returns the intent of a certificate that a ceremony signed with a key
// that is not here, with the certificate: for a store to keep it with its record, so
// that it can be revoked and traced. The ceremony's journal has its intent from before
// the signature; here intent and record are one transaction. It is nil for a
// certificate that is stored already.
func (s *Service) Registration(ctx context.Context, parent *pki.Issuer, profile pki.ProfileRef, c *tbs.Parsed) (*Intent, error) {
	_, err := s.cfg.Store.Certificate(ctx, parent.Tenant, parent.ID, c.Serial)
	if pki.KindOf(err) != pki.NotFound {
		return nil, err
	}
	n := s.newIntent(&Line{Issuer: *parent})
	n.Items = []*Item{{
		Serial: c.Serial, Owner: parent.Tenant, Profile: profile, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		TBS: c.TBS, KeyHash: sha256.Sum256(c.Key.SPKI()), DER: c.Raw,
		RenewSameKey: true, // whose key a root certifies is decided in its ceremony: of a root before it, by each that follows
	}}
	return n, nil
}
