package hierarchy

import (
	"context"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// The certificate of an issuer below an online authority: the issuer is recorded before, an
// authority's first with the authority, and where the rest is cut off, as by a crash, what
// made it goes on with it.

// issue has the certificate issued of an issuer that was recorded just now. One that is
// refused is dropped. It is the end of an act that was approved: g is for no change.
func (s *Service) issue(ctx context.Context, g access.Permit, a *pki.Authority, i *pki.Issuer, commonName string) (*View, error) {
	c, err := s.certify(ctx, g, a, i, commonName)
	switch kind := pki.KindOf(err); {
	case err == nil:
		return s.giveCertificate(ctx, g, a, i, c.DER, pki.RootLinks{}, nil)
	case kind == pki.Unavailable || kind == pki.Internal || kind == pki.NotReady: // it may be issued, as when ctx ended
		return nil, err
	}
	return nil, errors.Join(err, s.cfg.Store.DropIssuer(ctx, g.Tenant(), i.ID, // refused, before anything was intended
		s.event(g, "authority.drop", "authority:"+string(a.ID), fmt.Sprintf("%s, issuer %s: %s", a.Name, i.ID, pki.DetailOf(err)))))
}

// certify has the online parent of an authority issue the certificate of an issuer, which is
// recorded.
func (s *Service) certify(ctx context.Context, g access.Permit, a *pki.Authority, i *pki.Issuer, commonName string) (*pki.Certificate, error) {
	return s.cfg.RA.Subordinate(ctx, g, a.Parent, pki.ProfileRef{Tenant: g.Tenant(), Name: a.Profile, Version: i.ProfileVersion}, commonName, i)
}

// cutOff returns the issuer of an authority below an online one that has no certificate yet,
// of which it may be issued, nil where there is none.
func (s *Service) cutOff(ctx context.Context, a *View) (*pki.Issuer, error) {
	i := a.Coming()
	if a.Kind == pki.Root || i == nil || i.State != pki.IssuerPending {
		return nil, nil
	}
	above, err := s.cfg.Store.Issuer(ctx, i.Parent)
	if err != nil || above.Key == pki.OfflineKey {
		return nil, err
	}
	return i, nil
}

func errCutOff(a *View) error {
	if a.State == pki.AuthorityPending {
		return pki.Errorf(pki.NotReady, "the creation of %s was cut off: 'pando authority create' with what it was begun with goes on with it", a.Name)
	}
	return pki.Errorf(pki.NotReady, "the rollover of %s was cut off: 'pando authority rollover' goes on with it", a.Name)
}

// goOn ends what was cut off. What it was begun for was approved then, so that a certificate
// that was issued is asked no question. It drops nothing: that is for people.
func (s *Service) goOn(ctx context.Context, g access.Permit, a *View, i *pki.Issuer) (*View, error) {
	c, err := s.cfg.RA.Subordinated(ctx, g.Tenant(), i.ID)
	if pki.KindOf(err) == pki.NotFound {
		c, err = s.certifyLate(ctx, g, a, i)
	}
	if err != nil {
		return nil, err
	}
	return s.giveCertificate(ctx, g, &a.Authority, i, c.DER, pki.RootLinks{}, nil)
}

// certifyLate is certify for an issuer that was recorded a while ago.
func (s *Service) certifyLate(ctx context.Context, g access.Permit, a *View, i *pki.Issuer) (*pki.Certificate, error) {
	parent, err := s.find(ctx, g.Tenant(), string(a.Parent))
	if err != nil {
		return nil, err
	}
	if above := parent.Active(); parent.State != pki.AuthorityActive || above == nil || above.ID != i.Parent {
		return nil, pki.Errorf(pki.Conflict, "the authority above %s was switched or retired since this was begun: 'pando authority drop', and begin again", a.Name)
	}
	if err := s.inForce(ctx, parent, i.Parent); err != nil {
		return nil, err
	}
	csr, err := tbs.ParseCSR(i.Request)
	if err != nil {
		return nil, err
	}
	return s.certify(ctx, g, &a.Authority, i, csr.Subject.Get(der.OIDCommonName))
}

// withIssued returns an authority whose issuer has its certificate, where that was issued in
// what was cut off.
func (s *Service) withIssued(ctx context.Context, g access.Permit, a *View) (*View, error) {
	i, err := s.cutOff(ctx, a)
	if err != nil || i == nil {
		return a, err
	}
	c, err := s.cfg.RA.Subordinated(ctx, g.Tenant(), i.ID)
	if pki.KindOf(err) == pki.NotFound {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	return s.giveCertificate(ctx, g, &a.Authority, i, c.DER, pki.RootLinks{}, nil)
}
