package hierarchy

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// A NewLoan is what a parent lends.
type NewLoan struct {
	Name      string
	Authority string // name or id; an active issuing authority of the parent's
	Profile   string
	Limit     int64
}

// maxLoan is the most certificates that a loan is for.
const maxLoan = 1_000_000_000_000

// Lend lends to a child of the permit's tenant, or changes the limit of what is lent.
// It needs access.ManageChildren.
func (s *Service) Lend(ctx context.Context, g access.Permit, child pki.TenantID, n NewLoan) (*pki.Loan, error) {
	if err := g.Check(access.ManageChildren); err != nil {
		return nil, err
	}
	if err := pki.CheckSlug("loan", n.Name); err != nil {
		return nil, err
	}
	if n.Limit < 0 || n.Limit > maxLoan {
		return nil, pki.Errorf(pki.Malformed, "a limit is from 0 to %d", int64(maxLoan))
	}
	a, err := s.find(ctx, g.Tenant(), n.Authority)
	if err != nil {
		return nil, err
	}
	if a.Kind != pki.Issuing {
		return nil, pki.Errorf(pki.PolicyRefused, "the authority %s is %s: what issues to devices is lent, and no authority above it", a.Name, a.Kind)
	}
	line, err := s.Line(ctx, g.Tenant(), a.ID)
	if err != nil {
		return nil, err
	}
	version, err := s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: g.Tenant(), Name: n.Profile})
	if err != nil {
		return nil, err
	}
	bound, err := s.Bound(ctx, version.ProfileRef, line)
	if err != nil {
		return nil, err
	}
	if bound.Profile().CA() || bound.Profile().SignsOCSP() {
		return nil, pki.Errorf(pki.PolicyRefused, "the profile %s is for authorities or OCSP responders, which are not lent", n.Profile)
	}
	if err := bound.Profile().CheckLendable(); err != nil {
		return nil, err
	}
	ch := lendChange{Child: child, Name: n.Name, Authority: a.ID, Profile: n.Profile, Version: version.Version, Limit: n.Limit}
	if err := s.passLoan(ctx, g, &ch); err != nil {
		return nil, err
	}
	l := &pki.Loan{Parent: g.Tenant(), Child: child, Name: n.Name, Authority: a.ID, AuthorityName: a.Name, Profile: n.Profile, Version: version.Version, Limit: n.Limit, Created: s.cfg.Now().UTC()}
	e := s.event(g, "child.lend", "loan:"+string(child)+"/"+n.Name, fmt.Sprintf("authority %s, profile %s from version %d on, %d certificates", a.Name, n.Profile, version.Version, n.Limit))
	if err := s.cfg.Store.PutLoan(ctx, l, ch.Before, e); err != nil {
		return nil, err
	}
	return s.Loan(ctx, child, n.Name)
}

// lendChange is what a change of kind approval.Lend asks for.
type lendChange struct {
	Child     pki.TenantID    `json:"child"`
	Name      string          `json:"name"`
	Authority pki.AuthorityID `json:"authority"`
	Profile   string          `json:"profile"`
	Version   int             `json:"version"`
	Before    int64           `json:"before"` // 0 also where it is not lent yet
	Limit     int64           `json:"limit"`
}

// passLoan has a loan wait for approval that is for more than before, and says how much
// that was.
func (s *Service) passLoan(ctx context.Context, g access.Permit, ch *lendChange) error {
	children, err := s.cfg.Store.Children(ctx, g.Tenant())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(children, func(t *pki.Tenant) bool { return t.ID == ch.Child }) {
		return pki.Errorf(pki.NotFound, "no tenant %q", ch.Child)
	}
	was, err := s.Loan(ctx, ch.Child, ch.Name)
	switch {
	case err == nil:
		ch.Before = was.Limit
	case pki.KindOf(err) != pki.NotFound:
		return err
	}
	if ch.Limit <= ch.Before {
		return nil
	}
	return s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.Lend, Target: "loan:" + string(ch.Child) + "/" + ch.Name, Payload: ch,
		Summary: fmt.Sprintf("authority %s with profile %s from version %d on lent to %s: before %d certificates, after %d", ch.Authority, ch.Profile, ch.Version, ch.Child, ch.Before, ch.Limit),
	})
}

// Loan returns a loan of the child's, for the RA.
func (s *Service) Loan(ctx context.Context, child pki.TenantID, name string) (*pki.Loan, error) {
	loans, err := s.cfg.Store.Loans(ctx, child)
	if err != nil {
		return nil, err
	}
	for _, l := range loans {
		if l.Name == name {
			return l, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "no loan %.60q", name)
}

// LoanOf returns what is lent to a child of an authority with a profile, for the RA.
func (s *Service) LoanOf(ctx context.Context, child pki.TenantID, authority pki.AuthorityID, profile string) (*pki.Loan, error) {
	loans, err := s.cfg.Store.Loans(ctx, child)
	if err != nil {
		return nil, err
	}
	for _, l := range loans {
		if l.Authority == authority && l.Profile == profile {
			return l, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "the authority is not lent with the profile %s any more", profile)
}

// TakeBack ends a loan: nothing is issued under it from now on. It needs
// access.ManageChildren.
func (s *Service) TakeBack(ctx context.Context, g access.Permit, child pki.TenantID, name string) error {
	if err := g.Check(access.ManageChildren); err != nil {
		return err
	}
	return s.cfg.Store.TakeBack(ctx, g.Tenant(), child, name, s.event(g, "child.take-back", "loan:"+string(child)+"/"+name, ""))
}

// Lent returns what the permit's tenant lent to a child. It needs
// access.ManageChildren.
func (s *Service) Lent(ctx context.Context, g access.Permit, child pki.TenantID) ([]*pki.Loan, error) {
	if err := g.Check(access.ManageChildren); err != nil {
		return nil, err
	}
	t, err := s.cfg.Store.Tenant(ctx, child)
	if err == nil && t.Parent != g.Tenant() {
		err = pki.Errorf(pki.NotFound, "no tenant %q", child)
	}
	if err != nil {
		return nil, err
	}
	return s.cfg.Store.Loans(ctx, child)
}

// Loans returns what was lent to the permit's tenant. It needs
// access.ReadConfiguration.
func (s *Service) Loans(ctx context.Context, g access.Permit) ([]*pki.Loan, error) {
	if err := g.Check(access.ReadConfiguration); err != nil {
		return nil, err
	}
	return s.cfg.Store.Loans(ctx, g.Tenant())
}
