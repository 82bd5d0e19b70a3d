package hierarchy

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// NewTenant is what is asked for when a tenant is made.
type NewTenant struct {
	ID           pki.TenantID // a slug that is never used again
	Organization string       // the O of subjects that its profiles name
	Alone        bool         // without the default rules of approval: one administrator acts alone
}

// CreateTenant makes a tenant. It needs access.ManageTenants on the platform.
func (s *Service) CreateTenant(ctx context.Context, g access.Permit, n NewTenant) (*pki.Tenant, error) {
	if err := g.Check(access.ManageTenants); err != nil {
		return nil, err
	}
	if err := pki.CheckSlug("tenant", string(n.ID)); err != nil {
		return nil, err
	}
	if err := pki.CheckText("organisation", n.Organization); err != nil {
		return nil, err
	}
	t := &pki.Tenant{ID: n.ID, Organization: n.Organization, Created: s.cfg.Now().UTC(), Approvals: !n.Alone}
	approvals := map[bool]string{true: "default", false: "none"}[t.Approvals]
	return t, s.cfg.Store.PutTenant(ctx, t, s.event(g, "tenant.create", "tenant:"+string(n.ID), n.Organization+"; approvals: "+approvals))
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
	case n.Children != nil && (*n.Children < 0 || *n.Children > MaxChildren):
		return nil, pki.Errorf(pki.Malformed, "a tenant may have from 0 to %d children", MaxChildren)
	}
	children := fmt.Sprintf("%d, the default", DefaultChildren)
	if n.Children != nil {
		children = strconv.Itoa(*n.Children)
	}
	e := s.event(g, "tenant.set", "tenant:"+string(g.Tenant()), fmt.Sprintf("requests a second: %d, at once: %d (0 is the deployment's); children: %s", n.PerSecond, n.Burst, children))
	if err := s.cfg.Store.SetTenant(ctx, g.Tenant(), n, e); err != nil {
		return nil, err
	}
	return s.cfg.Store.Tenant(ctx, g.Tenant())
}
