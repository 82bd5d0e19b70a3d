package revocation

import (
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// checkStored checks that a CRL from the store is what its issuer signed: it was put
// together of parts, and whatever wrote them may have written them since.
func (s *Service) checkStored(ctx context.Context, c *CRL) error {
	parsed, err := s.Verify(ctx, c.List, c.DER)
	if err == nil && parsed.Number != c.Number {
		err = pki.Errorf(pki.Malformed, "its number is %d", parsed.Number)
	}
	switch pki.KindOf(err) {
	case pki.Malformed, pki.BadProof:
	default:
		return err
	}
	id, again := s.identities.get(ctx, c.Issuer)
	if again != nil {
		return again
	}
	what, detail := "no new one can be made without a ceremony", "the CRL is damaged in the store, and is not given out"
	if id.online() {
		what, detail = "a new one is made of the revocations", detail+"; a new one is being made: ask again"
		if again = s.replace(ctx, id, c.List); again != nil {
			s.cfg.Log.ErrorContext(ctx, "have a damaged CRL made anew", "list", c.List, "error", again)
		}
	}
	s.tellDamaged(ctx, id, c.List, fmt.Sprintf("CRL number %d in the database is not what was signed (%s) and is given to nobody; %s", c.Number, pki.DetailOf(err), what))
	return &pki.Error{Kind: pki.Unavailable, Detail: detail, Cause: err, RetryAfter: 5 * time.Second}
}

// replace has the CRLs of a list's shard be made anew, where that is not asked for yet.
func (s *Service) replace(ctx context.Context, id *identity, list List) error {
	state, err := s.cfg.Store.Shard(ctx, list.Issuer, list.Shard)
	if err != nil || state.Renewed {
		return err
	}
	g, err := access.System(id.issuer.Tenant, "status").Authorize(access.ManageAuthorities, id.issuer.Tenant)
	if err != nil {
		return err
	}
	return s.Renew(ctx, g, list.Issuer, list.Shard)
}

func (s *Service) tellDamaged(ctx context.Context, id *identity, list List, what string) {
	s.cfg.Log.ErrorContext(ctx, "a stored CRL is damaged", "list", list, "what", what)
	if s.cfg.Now().After(id.issuer.NotAfter) {
		return // nobody goes by it any more, though it may be asked for
	}
	do := "Something else than pando wrote to the database, or its disk is failing: run 'pando check', and look at the disk. The alarm ends when the server starts again."
	if !id.online() {
		do = "Install the CRL again, from the ceremony's answer ('pando ceremony answer' writes that again). " + do
	}
	s.cfg.Alarms.Raise(alarm.Alarm{
		Key: alarm.Key{Tenant: id.issuer.Tenant, Name: "crl.damaged", Target: list.Path()}, Severity: alarm.Critical, What: what, Do: do,
	})
}
