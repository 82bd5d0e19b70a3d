package revocation

import (
	"cmp"
	"context"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Revoke revokes a certificate that the permit's tenant issued or owns, or with
// the reason certificateHold puts it on hold: access.Revoke. The next OCSP
// response of this process shows it, others within two seconds, and a new CRL of
// its shard is made at once. Of one that is on hold the revocation date becomes
// that of the final revocation. It returns what holds from then on.
//
// It is Malformed where RFC 5280, 5.3.1 has no such reason or reserves it for
// other uses, NotFound where the tenant has no such certificate, AlreadyRevoked,
// and Conflict where it is on hold already (but for a hold of its lender, which comes on
// top of its borrower's), or archived. That of an authority may have
// to wait for approval.
func (s *Service) Revoke(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial, reason pki.Reason) (Status, error) {
	if _, err := pki.ParseReason(reason.String()); err != nil {
		return Status{}, pki.Errorf(pki.Malformed, "a certificate cannot be revoked for reason code %d", reason)
	}
	action := "certificate.revoke"
	if reason == pki.CertificateHold {
		action = "certificate.hold"
	}
	return s.enter(ctx, g, issuer, serial, reason, action)
}

// Release ends the hold of a certificate that the permit's tenant issued or owns,
// which is good again: access.Revoke. It shows as soon as a revocation does, and is
// returned.
//
// It is NotFound where the tenant has no such certificate, AlreadyRevoked where it
// is revoked for good, and Conflict where it is not on hold, or is archived, or its
// device is suspended.
func (s *Service) Release(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial) (Status, error) {
	return s.enter(ctx, g, issuer, serial, pki.RemoveFromCRL, "certificate.release")
}

// enter stores the next entry of a certificate.
func (s *Service) enter(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial, reason pki.Reason, action string) (Status, error) {
	if err := g.CheckSome(access.Revoke); err != nil {
		return Status{}, err
	}
	if !g.Whole() {
		c, err := s.cfg.Store.Certificate(ctx, g.Tenant(), issuer, serial)
		if pki.KindOf(err) == pki.NotFound {
			return Status{}, errNoCertificate()
		}
		if err == nil {
			err = g.CheckCertificate(ctx, s.cfg.Store, access.Revoke, c)
		}
		if err != nil {
			return Status{}, err
		}
	}
	id, err := s.identities.get(ctx, issuer)
	if pki.KindOf(err) == pki.NotFound {
		return Status{}, errNoCertificate()
	}
	if err != nil {
		return Status{}, err
	}
	ofAuthority, err := s.passAuthority(ctx, g, id, serial, reason)
	if err != nil {
		return Status{}, err
	}
	now := s.cfg.Now().UTC()
	e := &Entry{
		Tenant: g.Tenant(),
		Revocation: pki.Revocation{
			Issuer: issuer, Serial: serial, Reason: reason,
			At: now.Truncate(time.Second), // as CRLs and OCSP will say it
		},
		Event: pki.Event{
			Tenant: id.issuer.Tenant, At: now, Actor: g.Actor(), Action: action,
			Target: "certificate:" + string(issuer) + "/" + serial.String(), Detail: "reason " + reason.String(), Change: g.Change().ID,
		},
	}
	if ofAuthority { // alone: where its change is not approved any more, others go on
		err = cmp.Or(s.cfg.Store.Revoke(ctx, []*Entry{e}), e.Err)
	} else {
		err = s.queue.store(ctx, s.cfg.Store, e)
	}
	s.Changed() // also after an error: it may mean that the outcome is unknown
	if pki.KindOf(err) == pki.NotFound {
		err = errNoCertificate() // in the words that a stranger to the certificate hears, too
	}
	if err != nil {
		return Status{}, err
	}
	return statusOf(&e.Revocation), nil
}

// statusOf returns the status of a certificate whose latest entry is r.
func statusOf(r *pki.Revocation) Status {
	status := Status{Known: true, Entries: r.N, NotAfter: r.NotAfter}
	if r.Reason != pki.RemoveFromCRL {
		status.Revocation = r
	}
	return status
}

func errNoCertificate() error { return pki.Errorf(pki.NotFound, "no such certificate") }

// Changed tells that another part of this process may have stored entries: the
// next OCSP responses show them, and CRLs of their shards are made at once.
func (s *Service) Changed() {
	s.revoked.Add(1)
	s.wakePublisher()
}
