package revocation

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// revokeChange is what a change of kind approval.RevokeAuthority asks for.
type revokeChange struct {
	Issuer pki.IssuerID `json:"issuer"`
	Serial string       `json:"serial"`
	Reason string       `json:"reason"`
}

// certifiesCAs reports whether an issuer may have signed certificates of authorities: its
// own allows a path below it (RFC 5280, 4.2.1.9).
func (i *identity) certifiesCAs() bool {
	_, below := i.certificate.IsCA()
	return below != 0
}

// passAuthority has the revocation or the hold of an authority's certificate wait: all
// below it ends with it. It reports whether it is one.
func (s *Service) passAuthority(ctx context.Context, g access.Permit, id *identity, serial pki.Serial, reason pki.Reason) (bool, error) {
	if reason == pki.RemoveFromCRL || !id.certifiesCAs() {
		return false, nil
	}
	c, err := s.cfg.Store.Certificate(ctx, g.Tenant(), id.issuer.ID, serial)
	if pki.KindOf(err) == pki.NotFound {
		return false, nil // the store refuses it
	}
	if err != nil {
		return false, err
	}
	parsed, err := tbs.ParseCertificate(c.DER)
	if err != nil {
		return false, err
	}
	if ca, _ := parsed.IsCA(); !ca {
		return false, nil
	}
	status, err := s.cfg.Store.Status(ctx, id.issuer.ID, serial)
	if err != nil {
		return false, err
	}
	if r := status.Revocation; r != nil && (r.Reason != pki.CertificateHold || reason == pki.CertificateHold) {
		return false, nil // the store refuses it
	}
	return true, s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.RevokeAuthority, Target: "certificate:" + string(id.issuer.ID) + "/" + serial.String(),
		Payload: revokeChange{id.issuer.ID, serial.String(), reason.String()},
		Summary: fmt.Sprintf("the certificate of %s, reason %s: nothing below it is trusted any more", parsed.Subject, reason),
	})
}

// Executors returns what does the acts of this service that were approved.
func (s *Service) Executors() map[approval.Kind]approval.Executor {
	return map[approval.Kind]approval.Executor{
		approval.RevokeAuthority: approval.Execute(access.Revoke, func(ctx context.Context, g access.Permit, ch revokeChange) error {
			serial, err := pki.ParseSerial(ch.Serial)
			if err != nil {
				return err
			}
			reason, err := pki.ParseReason(ch.Reason)
			if err != nil {
				return err
			}
			_, err = s.Revoke(ctx, g, ch.Issuer, serial, reason)
			return err
		}),
	}
}

// checkIssuer refuses a job over a tenant's issuer of authorities: their certificates are
// few, and are revoked one by one, each under the rule that is about that.
func (s *Service) checkIssuer(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, reason pki.Reason) error {
	if issuer == "" || reason == pki.RemoveFromCRL {
		return nil
	}
	id, err := s.identities.get(ctx, issuer)
	if pki.KindOf(err) == pki.NotFound || err == nil && id.issuer.Tenant != tenant {
		return nil // the selection is empty, or has what is lent: authorities are not
	}
	if err == nil && id.certifiesCAs() {
		err = pki.Errorf(pki.PolicyRefused, "the issuer signs certificates of authorities, which are revoked one by one ('pando cert revoke')")
	}
	return err
}
