package restapi

import (
	"context"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

type tokenInput struct {
	Caller
	ID string `path:"id"`
}

type newTokenInput struct {
	Caller
	Body client.NewToken
}

type tenantTokenInput struct {
	Caller
	Tenant string `path:"tenant"`
	ID     string `path:"id"`
}

type newTenantTokenInput struct {
	Caller
	Tenant string `path:"tenant"`
	Body   client.NewToken
}

func (s *server) whoami(_ context.Context, _ access.Permit, in *nothing) (*answer[client.Identity], error) {
	return &answer[client.Identity]{client.Identity{Tenant: string(in.who.Tenant), ID: in.who.ID, Name: in.who.Name,
		Grants: wireGrants(in.who.Grants), Expires: in.who.Expires}}, nil
}

func (s *server) listTokens(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.APIToken], error) {
	tokens, err := s.cfg.Tokens.List(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(tokens, "", wireToken), nil
}

func (s *server) createToken(ctx context.Context, g access.Permit, in *newTokenInput) (*answer[client.CreatedToken], error) {
	scopes, err := access.ParseScopes(in.Body.Scopes)
	if err != nil {
		return nil, err
	}
	t, secret, err := s.cfg.Tokens.Create(ctx, g, access.NewToken{Name: in.Body.Name, Role: access.Role(in.Body.Role),
		Scopes: scopes, Life: time.Duration(in.Body.LifeSeconds) * time.Second})
	if err != nil {
		return nil, err
	}
	return &answer[client.CreatedToken]{client.CreatedToken{APIToken: wireToken(t), Secret: client.TokenOf(secret.Reveal())}}, nil
}

func (s *server) revokeToken(ctx context.Context, g access.Permit, in *tokenInput) (*struct{}, error) {
	return nil, s.cfg.Tokens.Revoke(ctx, g, pki.TokenID(in.ID))
}

func (s *server) listTenantTokens(ctx context.Context, g access.Permit, in *tenantInput) (*listOf[client.APIToken], error) {
	if err := s.tenantExists(ctx, g); err != nil {
		return nil, err
	}
	return s.listTokens(ctx, g, nil)
}

func (s *server) createTenantToken(ctx context.Context, g access.Permit, in *newTenantTokenInput) (*answer[client.CreatedToken], error) {
	if err := s.tenantExists(ctx, g); err != nil {
		return nil, err
	}
	return s.createToken(ctx, g, &newTokenInput{Body: in.Body})
}

func (s *server) revokeTenantToken(ctx context.Context, g access.Permit, in *tenantTokenInput) (*struct{}, error) {
	return s.revokeToken(ctx, g, &tokenInput{ID: in.ID})
}

// tenantExists is NotFound where a platform operator names a tenant that was
// never created. A caller's own tenant exists.
func (s *server) tenantExists(ctx context.Context, g access.Permit) error {
	if g.Principal().Tenant == g.Tenant() {
		return nil
	}
	look, err := g.Principal().Authorize(access.ManageTenants, g.Tenant())
	if err != nil {
		return err
	}
	_, err = s.findTenant(ctx, look)
	return err
}

func wireToken(t *access.Token) client.APIToken {
	return client.APIToken{ID: string(t.ID), Tenant: string(t.Tenant), Name: t.Name,
		Grants: wireGrants(t.Grants), Maker: t.Maker, Created: t.Created, Expires: t.Expires, Revoked: t.Revoked}
}
