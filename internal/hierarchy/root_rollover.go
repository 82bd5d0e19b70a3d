package hierarchy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// rollRoot makes the place of the root that follows another.
func (s *Service) rollRoot(ctx context.Context, g access.Permit, a *View, ch rolloverChange) (*View, error) {
	err := s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.RollAuthority, Target: "authority:" + a.Name, Payload: ch,
		Summary: fmt.Sprintf("the root %s is followed by a new one of its name, %q, key %s, profile %s version %d, which a ceremony is to make; authorities come under it when %s is switched to it",
			a.Name, ch.CommonName, ch.KeyKind, a.Profile, ch.Version, a.Name),
	})
	if err != nil {
		return nil, err
	}
	id := pki.IssuerID(pki.NewOpaqueID())
	i := &pki.Issuer{
		ID: id, Authority: a.ID, Tenant: a.Tenant, Mode: a.Mode, Parent: id, State: pki.IssuerPending, Key: pki.OfflineKey,
		StatusURL: a.StatusURL, Shards: 1, Created: s.cfg.Now().UTC(), Follows: ch.Active, KeyKind: ch.KeyKind, ProfileVersion: ch.Version,
	}
	detail := fmt.Sprintf("%s, issuer %s, to follow %s, key %s", a.Name, id, ch.Active, ch.KeyKind)
	if err := s.cfg.Store.PutIssuer(ctx, i, s.event(g, "authority.rollover", "authority:"+string(a.ID), detail)); err != nil {
		return nil, err
	}
	return s.find(ctx, g.Tenant(), string(a.ID))
}

// rootRequest returns what to carry to the ceremony that makes the root which follows
// another.
func (s *Service) rootRequest(ctx context.Context, a *View, next *pki.Issuer) (*ceremony.Request, error) {
	old, err := s.cfg.Store.Issuer(ctx, next.Follows)
	if err != nil {
		return nil, err
	}
	if !s.cfg.Now().Before(old.NotAfter) {
		return nil, pki.Errorf(pki.PolicyRefused, "the root %s has ended, and signs nothing any more: 'pando authority drop', and import another root", a.Name)
	}
	profile, err := s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: a.Tenant, Name: a.Profile, Version: next.ProfileVersion})
	if err != nil {
		return nil, err
	}
	return &ceremony.Request{
		Kind: ceremony.KindRoot, Root: fingerprint(old.Certificate), Mode: old.Mode, Made: s.made(),
		RootIssuer: old.ID, StatusURL: old.StatusURL,
		Issuer: next.ID, ProfileTenant: a.Tenant, ProfileVersion: profile.Version, Profile: profile.Source, KeyKind: next.KeyKind,
	}, nil
}

// installRoot takes the root that follows another, and its links with that one.
func (s *Service) installRoot(ctx context.Context, g access.Permit, r *ceremony.Response) (*View, error) {
	issuer, a, err := s.awaiting(ctx, g, r.Issuer)
	if err != nil {
		return nil, err
	}
	if issuer.Follows == "" {
		return nil, pki.Errorf(pki.Conflict, "the issuer %s is not a root that follows another", issuer.ID)
	}
	old, err := s.cfg.Store.Issuer(ctx, issuer.Follows)
	if err != nil {
		return nil, err
	}
	links, err := s.checkRoot(ctx, issuer, old, r)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.InstallAuthority, Target: "authority:" + a.Name, Payload: changeOf(r),
		Summary: fmt.Sprintf("the root %s has a next one, which it can be switched to, until %s; its certificate has the SHA-256 %s, that of the new key by the old one %s, that of the old key by the new one %s",
			a.Name, links.New.NotAfter.UTC().Format(time.RFC3339), fingerprint(r.Certificate), fingerprint(r.NewWithOld), fingerprint(r.OldWithNew)),
	})
	if err != nil {
		return nil, err
	}
	// Each link is a certificate of the root that signed it, and can be revoked as such.
	signed, err := s.registrations(ctx, a, r.ProfileVersion, signedBy{old, links.NewWithOld}, signedBy{issuer, links.OldWithNew})
	if err != nil {
		return nil, err
	}
	return s.giveCertificate(ctx, g, a, issuer, r.Certificate, pki.RootLinks{NewWithOld: r.NewWithOld, OldWithNew: r.OldWithNew}, signed)
}

// checkRoot checks that what a ceremony made is the root that is waited for, and fits the
// one that it follows.
func (s *Service) checkRoot(ctx context.Context, issuer, old *pki.Issuer, r *ceremony.Response) (*ceremony.Links, error) {
	links := new(ceremony.Links)
	for _, c := range []struct {
		der  []byte
		into **tbs.Parsed
	}{{old.Certificate, &links.Old}, {r.Certificate, &links.New}, {r.NewWithOld, &links.NewWithOld}, {r.OldWithNew, &links.OldWithNew}} {
		var err error
		if *c.into, err = tbs.ParseCertificate(c.der); err != nil {
			return nil, err
		}
	}
	if err := links.Check(); err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	switch {
	case old.State != pki.IssuerActive:
		return nil, pki.Errorf(pki.Conflict, "the root that this one was to follow is %s", old.State)
	case !now.Before(old.NotAfter):
		return nil, pki.Errorf(pki.PolicyRefused, "the root that this one was to follow has ended")
	case !now.Before(links.New.NotAfter):
		return nil, pki.Errorf(pki.PolicyRefused, "the certificate has expired")
	case string(links.New.Key.Kind()) != strings.TrimSuffix(string(issuer.KeyKind), "-pss"): // how it signs its certificate does not say
		return nil, pki.Errorf(pki.PolicyRefused, "the new root has a key %s, and one of %s was asked for", links.New.Key.Kind(), issuer.KeyKind)
	}
	return links, s.newRootKey(ctx, issuer.Tenant, links.New)
}
