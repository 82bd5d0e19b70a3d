package restapi

import (
	"context"
	"encoding/hex"
	"net/http"
	"sync"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

type profileInput struct {
	Caller
	Name    string `path:"name"`
	Version int    `query:"version" minimum:"0" doc:"Default: the latest."`
}

type newProfileInput struct {
	Caller
	Body client.NewProfile
}

func (s *server) listProfiles(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Profile], error) {
	profiles, err := s.cfg.Hierarchy.Profiles(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(profiles, "", func(v *pki.ProfileVersion) client.Profile {
		p := wireProfile(v)
		p.Source = ""
		return p
	}), nil
}

// published is 201 with a new version, or 200 with the latest where that has the same
// document.
type published struct {
	Status int
	Body   client.Profile
}

func (s *server) publishProfile(ctx context.Context, g access.Permit, in *newProfileInput) (*published, error) {
	v, err := s.cfg.Hierarchy.PublishProfile(ctx, g, []byte(in.Body.Source))
	if err != nil {
		return nil, err
	}
	out := &published{http.StatusCreated, wireProfile(v)}
	if v.Repeated {
		out.Status = http.StatusOK
	}
	return out, nil
}

type profileNameInput struct {
	Caller
	Name string `path:"name"`
}

func (s *server) listProfileVersions(ctx context.Context, g access.Permit, in *profileNameInput) (*listOf[client.Profile], error) {
	versions, err := s.cfg.Hierarchy.ProfileVersions(ctx, g, in.Name)
	if err != nil {
		return nil, err
	}
	return each(versions, "", wireProfile), nil
}

func (s *server) getProfile(ctx context.Context, g access.Permit, in *profileInput) (*answer[client.Profile], error) {
	v, err := s.cfg.Hierarchy.Profile(ctx, g, in.Name, in.Version)
	if err != nil {
		return nil, err
	}
	return &answer[client.Profile]{wireProfile(v)}, nil
}

func wireProfile(v *pki.ProfileVersion) client.Profile {
	return client.Profile{Name: v.Name, Version: v.Version, Hash: hex.EncodeToString(v.Hash[:]), Created: v.Created, Source: v.Source, Repeated: v.Repeated, By: v.By}
}

func wireProfileRef(r pki.ProfileRef) client.ProfileRef {
	return client.ProfileRef{Name: r.Name, Version: r.Version}
}

// hashedProfileRef is wireProfileRef with the document's hash. A certificate is
// not withheld for want of it: what fails is logged.
func (s *server) hashedProfileRef(ctx context.Context, who access.Principal, r pki.ProfileRef) client.ProfileRef {
	out := wireProfileRef(r)
	var err error
	if out.Hash, err = s.hashes.of(ctx, who, r); err != nil {
		s.report(ctx, err)
	}
	return out
}

// profileHashes keeps the hashes of profile versions, which never change. There
// are as many as versions were published, and they are small.
type profileHashes struct {
	hierarchy Hierarchy
	known     sync.Map // of pki.ProfileRef to string
}

func newProfileHashes(h Hierarchy) *profileHashes { return &profileHashes{hierarchy: h} }

// of returns the hash of a version, in hexadecimal: of the caller's own tenant, or of
// one that lent it, of which the caller has a certificate.
func (h *profileHashes) of(ctx context.Context, who access.Principal, ref pki.ProfileRef) (string, error) {
	if hash, ok := h.known.Load(ref); ok {
		return hash.(string), nil
	}
	v, err := h.version(ctx, who, ref)
	if err != nil {
		return "", err
	}
	hash := hex.EncodeToString(v.Hash[:])
	h.known.Store(ref, hash)
	return hash, nil
}

func (h *profileHashes) version(ctx context.Context, who access.Principal, ref pki.ProfileRef) (*pki.ProfileVersion, error) {
	if ref.Tenant != who.Tenant {
		return h.hierarchy.ResolveProfile(ctx, ref)
	}
	g, err := who.Authorize(access.ReadConfiguration, ref.Tenant)
	if err != nil {
		return nil, err
	}
	return h.hierarchy.Profile(ctx, g, ref.Name, ref.Version)
}
