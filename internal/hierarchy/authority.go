package hierarchy

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// A View is an authority with its issuers, newest first.
type View struct {
	pki.Authority
	Issuers []*pki.Issuer
}

// Active returns the issuer that new certificates come from, nil where there is none.
func (v *View) Active() *pki.Issuer { return v.in(pki.IssuerActive) }

// Coming returns the issuer that is pending or next, nil where there is none.
func (v *View) Coming() *pki.Issuer { return v.in(pki.IssuerPending, pki.IssuerNext) }

func (v *View) in(states ...pki.IssuerState) *pki.Issuer {
	at := slices.IndexFunc(v.Issuers, func(i *pki.Issuer) bool { return slices.Contains(states, i.State) })
	if at < 0 {
		return nil
	}
	return v.Issuers[at]
}

// Authority returns an authority of the permit's tenant by name or id. It needs
// access.ReadConfiguration.
func (s *Service) Authority(ctx context.Context, g access.Permit, nameOrID string) (*View, error) {
	return s.within(ctx, g, access.ReadConfiguration, nameOrID)
}

// ActiveChain returns the certificate of an authority's active issuer and up to and
// with the root. It needs access.ReadConfiguration anywhere but on another authority:
// whoever may enrol at one of its endpoints needs it to check what they get. NotReady
// where the authority has no certificate yet.
func (s *Service) ActiveChain(ctx context.Context, g access.Permit, nameOrID string) ([][]byte, error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, err
	}
	a, err := s.find(ctx, g.Tenant(), nameOrID)
	if err != nil {
		return nil, err
	}
	if err := g.CheckToward(access.ReadConfiguration, access.Scope{Authority: a.Name}); err != nil {
		return nil, err
	}
	if active := a.Active(); active != nil {
		return s.Chain(ctx, active.ID)
	}
	return nil, pki.Errorf(pki.NotReady, "the authority %s has no certificate yet", a.Name)
}

// within returns an authority that is within a permit.
func (s *Service) within(ctx context.Context, g access.Permit, permission access.Permission, nameOrID string) (*View, error) {
	if err := g.CheckSome(permission); err != nil {
		return nil, err
	}
	a, err := s.find(ctx, g.Tenant(), nameOrID)
	if err != nil {
		return nil, err
	}
	if err := g.CheckAt(permission, access.Scope{Authority: a.Name}); err != nil {
		return nil, err
	}
	return a, nil
}

// Authorities returns the authorities that are within the permit. It needs
// access.ReadConfiguration.
func (s *Service) Authorities(ctx context.Context, g access.Permit) ([]*View, error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, err
	}
	authorities, err := s.cfg.Store.Authorities(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	authorities = slices.DeleteFunc(authorities, func(a *pki.Authority) bool { return !g.Covers(access.Scope{Authority: a.Name}) })
	views := make([]*View, len(authorities))
	for i, a := range authorities {
		if views[i], err = s.view(ctx, a); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// Retire ends an authority's signing of certificates for good; status of what it
// signed goes on. One that is pending waits for no certificate any more; one that was issued
// in a creation that was cut off is stored with it first, so that it is known. It needs
// access.ManageAuthorities.
func (s *Service) Retire(ctx context.Context, g access.Permit, nameOrID string) error {
	a, err := s.within(ctx, g, access.ManageAuthorities, nameOrID)
	if err != nil {
		return err
	}
	if a.State == pki.AuthorityPending { // none is issued meanwhile
		release, err := s.hold(g.Tenant(), "name "+a.Name)
		if err != nil {
			return err
		}
		defer release()
		if a, err = s.find(ctx, g.Tenant(), string(a.ID)); err != nil {
			return err
		}
	}
	if a.State == pki.AuthorityRetired {
		return pki.Errorf(pki.Conflict, "the authority %s is retired already", a.Name)
	}
	err = s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.RetireAuthority, Target: "authority:" + a.Name, Place: access.Scope{Authority: a.Name},
		Summary: fmt.Sprintf("the %s authority %s, which is %s, signs no certificate any more", a.Kind, a.Name, a.State),
		Payload: retireChange{a.ID, a.State},
	})
	if err != nil {
		return err
	}
	if a.State == pki.AuthorityPending {
		if a, err = s.withIssued(ctx, g.For(access.Change{}), a); err != nil {
			return err
		}
	}
	defer s.forget(a.ID)
	return s.cfg.Store.SetAuthorityState(ctx, g.Tenant(), a.ID, a.State, pki.AuthorityRetired,
		s.event(g, "authority.retire", "authority:"+string(a.ID), a.Name))
}

// retireChange is what a change of kind approval.RetireAuthority asks for.
type retireChange struct {
	Authority pki.AuthorityID    `json:"authority"`
	State     pki.AuthorityState `json:"state"` // that it is in
}

// FindAuthority returns the id of an authority by name or id, for the RA.
func (s *Service) FindAuthority(ctx context.Context, tenant pki.TenantID, nameOrID string) (pki.AuthorityID, error) {
	a, err := s.find(ctx, tenant, nameOrID)
	if err != nil {
		return "", err
	}
	return a.ID, nil
}

func (s *Service) find(ctx context.Context, tenant pki.TenantID, nameOrID string) (*View, error) {
	a, err := s.cfg.Store.AuthorityByName(ctx, tenant, nameOrID)
	if pki.KindOf(err) == pki.NotFound {
		a, err = s.cfg.Store.Authority(ctx, tenant, pki.AuthorityID(nameOrID))
	}
	if pki.KindOf(err) == pki.NotFound {
		return nil, pki.Errorf(pki.NotFound, "no authority %.60q", nameOrID)
	}
	if err != nil {
		return nil, err
	}
	return s.view(ctx, a)
}

func (s *Service) view(ctx context.Context, a *pki.Authority) (*View, error) {
	issuers, err := s.cfg.Store.Issuers(ctx, a.Tenant, a.ID)
	if err != nil {
		return nil, err
	}
	return &View{*a, issuers}, nil
}
