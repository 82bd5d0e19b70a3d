package restapi

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/trust"
)

type newTrustInput struct {
	Caller
	Body client.NewTrust
}

type trustChangeInput struct {
	Caller
	Name string `path:"name"`
	Body client.TrustChange
}

type trustInput struct {
	Caller
	Name string `path:"name"`
}

func (s *server) listTrust(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Trust], error) {
	anchors, err := s.cfg.Trust.Anchors(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(anchors, "", wireTrust), nil
}

func (s *server) addTrust(ctx context.Context, g access.Permit, in *newTrustInput) (*answer[client.Trust], error) {
	scopes, err := access.ParseScopes(in.Body.Scopes)
	if err != nil {
		return nil, err
	}
	n := trust.NewAnchor{Name: in.Body.Name, Authority: in.Body.Authority, Role: access.Role(in.Body.Role), Scopes: scopes}
	if in.Body.Certificate != "" {
		if n.Certificate, err = readCertificate(in.Body.Certificate); err != nil {
			return nil, err
		}
	}
	a, err := s.cfg.Trust.Add(ctx, g, n)
	if err != nil {
		return nil, err
	}
	return &answer[client.Trust]{wireTrust(a)}, nil
}

func (s *server) changeTrust(ctx context.Context, g access.Permit, in *trustChangeInput) (*answer[client.Trust], error) {
	scopes, err := access.ParseScopes(in.Body.Scopes)
	if err != nil {
		return nil, err
	}
	a, err := s.cfg.Trust.Update(ctx, g, in.Name, scopes)
	if err != nil {
		return nil, err
	}
	return &answer[client.Trust]{wireTrust(a)}, nil
}

func (s *server) removeTrust(ctx context.Context, g access.Permit, in *trustInput) (*struct{}, error) {
	return nil, s.cfg.Trust.Remove(ctx, g, in.Name)
}

func wireTrust(a *trust.Anchor) client.Trust {
	sum := sha256.Sum256(a.Certificate)
	t := client.Trust{Name: a.Name, Issuer: string(a.Issuer), Grants: wireGrants(a.Grants),
		Fingerprint: hex.EncodeToString(sum[:]), Created: a.Created}
	if c, err := x509.ParseCertificate(a.Certificate); err == nil { // it was parsed when it came
		t.Subject, t.Ends = c.Subject.String(), c.NotAfter
	}
	return t
}
