package hierarchy

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// CreateTenant makes a tenant. Its id is a slug that is never used again; the
// organisation is the O of subjects that its profiles name. It needs
// access.ManageTenants on the platform.
func (s *Service) CreateTenant(ctx context.Context, g access.Permit, id pki.TenantID, organization string) (*pki.Tenant, error) {
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
func (s *Service) Tenants(ctx context.Context, g access.Permit) ([]*pki.Tenant, error) {
	if err := g.Check(access.ManageTenants); err != nil {
		return nil, err
	}
	return s.cfg.Store.Tenants(ctx)
}

// Tenant returns the permit's own tenant. It needs access.ReadConfiguration.
func (s *Service) Tenant(ctx context.Context, g access.Permit) (*pki.Tenant, error) {
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

// The largest rate of requests that a tenant can be given.
const maxPerSecond = 1_000_000

// SetTenant replaces the settings of the permit's tenant. It needs
// access.ManageTenants.
func (s *Service) SetTenant(ctx context.Context, g access.Permit, n pki.TenantSettings) (*pki.Tenant, error) {
	if err := g.Check(access.ManageTenants); err != nil {
		return nil, err
	}
	switch {
	case n.PerSecond < 0 || n.PerSecond > maxPerSecond || n.Burst < 0 || n.Burst > maxPerSecond:
		return nil, pki.Errorf(pki.Malformed, "a rate and a burst are from 1 to %d, or 0 for the deployment's", maxPerSecond)
	case (n.PerSecond == 0) != (n.Burst == 0):
		return nil, pki.Errorf(pki.Malformed, "a rate and a burst are set together: how many requests a second in the long run, and how many at once")
	}
	e := s.event(g, "tenant.set", "tenant:"+string(g.Tenant()), fmt.Sprintf("requests a second: %d, at once: %d (0 is the deployment's)", n.PerSecond, n.Burst))
	if err := s.cfg.Store.SetTenant(ctx, g.Tenant(), n, e); err != nil {
		return nil, err
	}
	return s.cfg.Store.Tenant(ctx, g.Tenant())
}
