package revocation

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Renew has the CRLs of a shard of the tenant's issuer, or with AllShards of all of
// them, be made anew, though they are not due: access.ManageAuthorities. They follow
// as those do that are due. NotFound where the tenant has no such issuer, and
// PolicyRefused where the issuer's key is offline.
func (s *Service) Renew(ctx context.Context, g access.Permit, issuer pki.IssuerID, shard int) error {
	if err := g.CheckSome(access.ManageAuthorities); err != nil {
		return err
	}
	id, err := s.identities.get(ctx, issuer)
	switch {
	case pki.KindOf(err) == pki.NotFound || err == nil && id.issuer.Tenant != g.Tenant():
		return pki.Errorf(pki.NotFound, "no issuer %.60q that has a certificate", string(issuer))
	case err != nil:
		return err
	case !id.online():
		return pki.Errorf(pki.PolicyRefused, "the issuer's key is offline: its CRL is made in a ceremony ('pando authority crl-request')")
	}
	if !g.Whole() {
		name, err := s.cfg.Store.AuthorityName(ctx, g.Tenant(), id.issuer.Authority)
		if err == nil {
			err = g.CheckAt(access.ManageAuthorities, access.Scope{Authority: name})
		}
		if err != nil {
			return err
		}
	}
	what := "all shards"
	if shard != AllShards {
		what = fmt.Sprintf("shard %d", shard)
	}
	err = s.cfg.Store.Renew(ctx, issuer, shard, pki.Event{
		Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "crl.renew", Target: "issuer:" + string(issuer), Detail: what,
	})
	if err == nil {
		s.wakePublisher()
		if !g.Principal().System() {
			s.acknowledge(id, shard)
		}
	}
	return err
}
