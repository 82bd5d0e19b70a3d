package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

type authorityInput struct {
	Caller
	Authority string `path:"authority" doc:"Name or id."`
}

type newAuthorityInput struct {
	Caller
	Body client.NewAuthority
}

type rolloverInput struct {
	Caller
	Authority string `path:"authority" doc:"Name or id."`
	Body      client.Rollover
}

type newIndexesInput struct {
	Caller
	Authority string `path:"authority" doc:"Name or id."`
	Body      client.NewIndexes
}

type newRootInput struct {
	Caller
	Body client.NewRoot
}

func (s *server) listAuthorities(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Authority], error) {
	views, err := s.cfg.Hierarchy.Authorities(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(views, "", wireAuthority), nil
}

func (s *server) getAuthority(ctx context.Context, g access.Permit, in *authorityInput) (*answer[client.Authority], error) {
	return authorityAnswer(s.cfg.Hierarchy.Authority(ctx, g, in.Authority))
}

func (s *server) createAuthority(ctx context.Context, g access.Permit, in *newAuthorityInput) (*answer[client.Authority], error) {
	n := in.Body
	return authorityAnswer(s.cfg.Hierarchy.CreateAuthority(ctx, g, hierarchy.NewAuthority{
		Name: n.Name, CommonName: n.CommonName, Kind: pki.AuthorityKind(n.Kind), Parent: n.Parent, Profile: n.Profile,
		KeyKind: pki.KeyKind(n.KeyKind), StatusURL: n.StatusURL, Shards: n.Shards, SignCheck: pki.SignCheck(n.SignCheck),
		RandomSerials: n.RandomSerials, Deltas: n.Deltas, Indexes: slugs[pki.SearchIndex](n.Indexes),
	}))
}

func (s *server) importRoot(ctx context.Context, g access.Permit, in *newRootInput) (*answer[client.Authority], error) {
	certificate, err := readCertificate(in.Body.Certificate)
	if err != nil {
		return nil, err
	}
	return authorityAnswer(s.cfg.Hierarchy.ImportRoot(ctx, g, hierarchy.NewRoot{
		Name: in.Body.Name, Mode: pki.Mode(in.Body.Mode), StatusURL: in.Body.StatusURL, Certificate: certificate,
	}))
}

func (s *server) retireAuthority(ctx context.Context, g access.Permit, in *authorityInput) (*struct{}, error) {
	return nil, s.cfg.Hierarchy.Retire(ctx, g, in.Authority)
}

func (s *server) addIndexes(ctx context.Context, g access.Permit, in *newIndexesInput) (*answer[client.Authority], error) {
	return authorityAnswer(s.cfg.Hierarchy.AddIndexes(ctx, g, in.Authority, slugs[pki.SearchIndex](in.Body.Indexes)))
}

func (s *server) rollOver(ctx context.Context, g access.Permit, in *rolloverInput) (*answer[client.Authority], error) {
	return authorityAnswer(s.cfg.Hierarchy.Rollover(ctx, g, in.Authority, hierarchy.Rollover{CommonName: in.Body.CommonName, KeyKind: pki.KeyKind(in.Body.KeyKind)}))
}

func (s *server) switchAuthority(ctx context.Context, g access.Permit, in *authorityInput) (*answer[client.Authority], error) {
	return authorityAnswer(s.cfg.Hierarchy.Switch(ctx, g, in.Authority))
}

func (s *server) dropNext(ctx context.Context, g access.Permit, in *authorityInput) (*struct{}, error) {
	_, err := s.cfg.Hierarchy.DropNext(ctx, g, in.Authority)
	return nil, err
}

func authorityAnswer(v *hierarchy.View, err error) (*answer[client.Authority], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Authority]{wireAuthority(v)}, nil
}

func wireAuthority(v *hierarchy.View) client.Authority {
	a := client.Authority{
		ID: string(v.ID), Name: v.Name, CommonName: v.CommonName, Kind: string(v.Kind), Mode: string(v.Mode),
		Parent: string(v.Parent), Profile: v.Profile, KeyKind: string(v.KeyKind), StatusURL: v.StatusURL,
		Shards: v.Shards, SignCheck: string(v.SignCheck), RandomSerials: v.RandomSerials, Deltas: v.Deltas, Indexes: slugs[string](v.Indexes),
		State: string(v.State), Created: v.Created,
		Issuers: make([]client.Issuer, len(v.Issuers)),
	}
	if x := v.Indexing; x != nil {
		a.Indexing = &client.Indexing{Indexes: slugs[string](x.Indexes), Percent: x.Percent()}
	}
	for i, from := range v.Issuers {
		a.Issuers[i] = client.Issuer{ID: string(from.ID), Active: from.State == pki.IssuerActive, State: string(from.State), Certificate: certificatePEM(from.Certificate),
			NotBefore: from.NotBefore, NotAfter: from.NotAfter, Created: from.Created,
			Follows: string(from.Follows), NewWithOld: certificatePEM(from.Links.NewWithOld), OldWithNew: certificatePEM(from.Links.OldWithNew)}
		if c, err := tbs.ParseCertificate(from.Certificate); err == nil { // it was parsed when it came; a pending one has none
			a.Issuers[i].Serial = c.Serial.String()
		}
	}
	return a
}
