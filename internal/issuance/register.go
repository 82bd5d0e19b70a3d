package issuance

import (
	"context"
	"crypto/sha256"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Register stores a certificate that a ceremony signed with a key that is not
// here, so that it can be revoked and traced. The ceremony's journal has its
// intent from before the signature; here intent and record are one transaction.
// A certificate that is stored already is left as it is.
func (s *Service) Register(ctx context.Context, parent *pki.Issuer, profile pki.ProfileRef, c *tbs.Parsed) error {
	_, err := s.cfg.Store.Certificate(ctx, parent.Tenant, parent.ID, c.Serial)
	if pki.KindOf(err) != pki.NotFound {
		return err
	}
	n := s.newIntent(&Line{Issuer: *parent})
	n.Items = []*Item{{
		Serial: c.Serial, Owner: parent.Tenant, Profile: profile, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		TBS: c.TBS, KeyHash: sha256.Sum256(c.Key.SPKI()), DER: c.Raw,
		RenewSameKey: true, // whose key a root certifies is decided in its ceremony: of a root before it, by each that follows
	}}
	return s.cfg.Store.Register(ctx, s.guard.best(), n)
}
