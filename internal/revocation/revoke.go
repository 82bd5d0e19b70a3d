package revocation

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Revoke revokes a certificate that the grant's tenant issued or owns:
// access.Revoke. The next OCSP response of this process shows it, others within
// two seconds, and a new CRL of its shard is made at once.
//
// It is Malformed where RFC 5280, 5.3.1 has no such reason or reserves it for
// other uses, NotFound where the tenant has no such certificate, and
// AlreadyRevoked.
func (s *Service) Revoke(ctx context.Context, g access.Grant, issuer pki.IssuerID, serial pki.Serial, reason pki.Reason) error {
	if err := g.Check(access.Revoke); err != nil {
		return err
	}
	if _, err := pki.ParseReason(reason.String()); err != nil {
		return pki.Errorf(pki.Malformed, "a certificate cannot be revoked for reason code %d", reason)
	}
	id, err := s.identities.get(ctx, issuer)
	if pki.KindOf(err) == pki.NotFound {
		return errNoCertificate()
	}
	if err != nil {
		return err
	}
	status, err := s.cfg.Store.Status(ctx, issuer, serial)
	if err != nil {
		return err
	}
	if !status.Known {
		return errNoCertificate()
	}
	now := s.cfg.Now().UTC()
	err = s.cfg.Store.Revoke(ctx, g.Tenant(), &pki.Revocation{
		Issuer: issuer, Serial: serial, Reason: reason,
		At:    now.Truncate(time.Second), // as CRLs and OCSP will say it
		Shard: serial.Shard(id.issuer.Shards), NotAfter: status.NotAfter,
	}, pki.Event{
		Tenant: id.issuer.Tenant, At: now, Actor: g.Actor(), Action: "certificate.revoke",
		Target: "certificate:" + string(issuer) + "/" + serial.String(), Detail: "reason " + reason.String(),
	})
	// Also after an error: it may mean that the outcome is unknown.
	s.revoked.Add(1)
	s.wakePublisher()
	if pki.KindOf(err) == pki.NotFound {
		return errNoCertificate() // in the words that a stranger to the certificate hears, too
	}
	return err
}

func errNoCertificate() error { return pki.Errorf(pki.NotFound, "no such certificate") }
