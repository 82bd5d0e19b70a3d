package hierarchy

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/specimen"
	"github.com/pando-pki/pando/internal/tbs"
)

// PublishProfile stores the document as the next version of the profile that it
// names, or returns the latest version, as Repeated, where that is the same document. It refuses
// one whose certificates the lint would refuse, as far as samples of requests show
// it. It needs access.ManageProfiles, and access.ManageQuotas where the document sets
// the quota of its profile to another.
func (s *Service) PublishProfile(ctx context.Context, g access.Permit, source []byte) (*pki.ProfileVersion, error) {
	if err := g.Check(access.ManageProfiles); err != nil {
		return nil, err
	}
	p, err := policy.Parse(source)
	if err != nil {
		return nil, err
	}
	verdict, err := specimen.Lint(p, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	if err := verdict.Err(); err != nil {
		return nil, err
	}
	if rule := p.Approvals(); rule != nil {
		if err := s.cfg.Gate.CheckSteps(ctx, g.Tenant(), rule.Steps); err != nil {
			return nil, pki.Because(pki.KindOf(err), err, "approvals: %s", pki.DetailOf(err))
		}
	}
	v := &pki.ProfileVersion{
		ProfileRef: pki.ProfileRef{Tenant: g.Tenant(), Name: p.Name()},
		Hash:       sha256.Sum256(source), Source: string(source), Created: s.cfg.Now().UTC(),
	}
	latest, err := s.cfg.Store.Profile(ctx, v.ProfileRef)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		latest = new(pki.ProfileVersion)
	case err != nil:
		return nil, err
	case latest.Hash == v.Hash:
		latest.Repeated = true
		return latest, nil
	}
	v.Version = latest.Version + 1
	limit, err := s.quotaOf(ctx, g, p)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.PublishProfile, Target: "profile:" + p.Name(), Summary: fmt.Sprintf("version %d of the profile %s", v.Version, p.Name()),
		Payload: profileChange{Version: v.Version, Source: v.Source},
	})
	if err != nil {
		return nil, err
	}
	if g.Change().ID == "" {
		v.Version = 0 // whichever is next: nobody approved it as that of a certain one
	}
	return v, s.cfg.Store.PutProfile(ctx, v, limit, s.event(g, "profile.publish", "profile:"+p.Name(), fmt.Sprintf("sha256 %x", v.Hash)))
}

// profileChange is what a change of kind approval.PublishProfile asks for: a document
// as that version of the profile which it names, and as no other.
type profileChange struct {
	Version int    `json:"version"`
	Source  string `json:"source"`
}

// Profile returns a version of a profile of the permit's tenant; version 0 is the
// latest. It needs access.ReadConfiguration anywhere: profiles are in no place.
func (s *Service) Profile(ctx context.Context, g access.Permit, name string, version int) (*pki.ProfileVersion, error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, err
	}
	return s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: g.Tenant(), Name: name, Version: version})
}

// Profiles returns the latest version of each profile of the permit's tenant, by
// name. It needs access.ReadConfiguration anywhere.
func (s *Service) Profiles(ctx context.Context, g access.Permit) ([]*pki.ProfileVersion, error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, err
	}
	return s.cfg.Store.Profiles(ctx, g.Tenant())
}

// ProfileVersions returns the versions of a profile of the permit's tenant, the latest
// first, without their sources and with who published each. It needs
// access.ReadConfiguration anywhere.
func (s *Service) ProfileVersions(ctx context.Context, g access.Permit, name string) ([]*pki.ProfileVersion, error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, err
	}
	return s.cfg.Store.ProfileVersions(ctx, g.Tenant(), name)
}

// ResolveProfile returns the exact version that ref means, for the RA: version 0
// is the latest.
func (s *Service) ResolveProfile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error) {
	return s.cfg.Store.Profile(ctx, ref)
}

type boundKey struct {
	ref    pki.ProfileRef
	issuer pki.IssuerID
}

// Bound returns a profile version compiled for the line's issuer. Both are
// immutable, so it is compiled once and kept.
func (s *Service) Bound(ctx context.Context, ref pki.ProfileRef, line *issuance.Line) (*policy.Bound, error) {
	key := boundKey{ref, line.Issuer.ID}
	s.mu.RLock()
	b := s.bound[key]
	s.mu.RUnlock()
	if b != nil {
		return b, nil
	}
	v, err := s.cfg.Store.Profile(ctx, ref)
	if err != nil {
		return nil, err
	}
	if v.Hash != sha256.Sum256([]byte(v.Source)) {
		return nil, fmt.Errorf("profile %s version %d does not have the hash it was published with", v.Name, v.Version)
	}
	p, err := policy.Parse([]byte(v.Source))
	if err != nil {
		return nil, err
	}
	params := Params(line.Authority.Name, line.Issuer, line.Parsed)
	chain, err := s.Chain(ctx, line.Issuer.ID)
	if err != nil {
		return nil, err
	}
	if params.Constraints, err = policy.Constraints(chain...); err != nil {
		return nil, err
	}
	if b, err = p.Bind(v.ProfileRef, params); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound[key] = b
	return b, nil
}

// Params says what of an issuer goes into the certificates it signs, without the name
// constraints that hold for it.
func Params(authority string, issuer pki.Issuer, parsed *tbs.Parsed) policy.IssuerParams {
	_, pathLen := parsed.IsCA()
	return policy.IssuerParams{
		ID: issuer.ID, Authority: authority, Mode: issuer.Mode, Subject: parsed.Subject, KeyID: parsed.SubjectKeyID(),
		Algorithm: parsed.Key.SignatureAlgorithm(), NotBefore: parsed.NotBefore, NotAfter: parsed.NotAfter,
		PathLen: pathLen, StatusURL: issuer.StatusURL, Shards: issuer.Shards, Deltas: issuer.Deltas,
	}
}
