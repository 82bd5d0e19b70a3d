package hierarchy

import (
	"context"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// CreateTenant makes a tenant. Its id is a slug that is never used again; the
// organisation is the O of subjects that its profiles name. It needs
// access.ManageTenants on the platform.
func (s *Service) CreateTenant(ctx context.Context, g access.Grant, id pki.TenantID, organization string) (*pki.Tenant, error) {
	if err := g.Check(access.ManageTenants); err != nil {
		return nil, err
	}
	if err := pki.CheckSlug("tenant", string(id)); err != nil {
		return nil, err
	}
	if err := pki.CheckText("organisation", organization); err != nil {
		return nil, err
	}
	t := &pki.Tenant{ID: id, Organization: organization, Created: s.cfg.Now().UTC()}
	return t, s.cfg.Store.PutTenant(ctx, t, s.event(g, "tenant.create", "tenant:"+string(id), organization))
}

// Tenants returns all tenants. It needs access.ManageTenants on the platform.
func (s *Service) Tenants(ctx context.Context, g access.Grant) ([]*pki.Tenant, error) {
	if err := g.Check(access.ManageTenants); err != nil {
		return nil, err
	}
	return s.cfg.Store.Tenants(ctx)
}

// Tenant returns the grant's own tenant. It needs access.ReadConfiguration.
func (s *Service) Tenant(ctx context.Context, g access.Grant) (*pki.Tenant, error) {
	if err := g.Check(access.ReadConfiguration); err != nil {
		return nil, err
	}
	return s.cfg.Store.Tenant(ctx, g.Tenant())
}

// Organization returns the organisation of a tenant, for the RA.
func (s *Service) Organization(ctx context.Context, id pki.TenantID) (string, error) {
	t, err := s.cfg.Store.Tenant(ctx, id)
	if err != nil {
		return "", err
	}
	return t.Organization, nil
}
