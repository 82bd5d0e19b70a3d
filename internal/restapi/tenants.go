package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// approvalsNone says of a tenant that one administrator acts alone.
const approvalsNone = "none"

type tenantInput struct {
	Caller
	Tenant string `path:"tenant"`
}

type newTenantInput struct {
	Caller
	Body client.NewTenant
}

func (s *server) listTenants(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Tenant], error) {
	tenants, err := s.cfg.Hierarchy.Tenants(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(tenants, "", wireTenant), nil
}

func (s *server) createTenant(ctx context.Context, g access.Permit, in *newTenantInput) (*answer[client.Tenant], error) {
	t, err := s.cfg.Hierarchy.CreateTenant(ctx, g, hierarchy.NewTenant{
		ID: pki.TenantID(in.Body.ID), Organization: in.Body.Organization, Alone: in.Body.Approvals == approvalsNone})
	if err != nil {
		return nil, err
	}
	return &answer[client.Tenant]{wireTenant(t)}, nil
}

func (s *server) getTenant(ctx context.Context, g access.Permit, in *tenantInput) (*answer[client.Tenant], error) {
	t, err := s.findTenant(ctx, g)
	if err != nil {
		return nil, err
	}
	return &answer[client.Tenant]{wireTenant(t)}, nil
}

type tenantSettingsInput struct {
	tenantInput
	Body client.TenantSettings
}

func (s *server) setTenant(ctx context.Context, g access.Permit, in *tenantSettingsInput) (*answer[client.Tenant], error) {
	t, err := s.cfg.Hierarchy.SetTenant(ctx, g, pki.TenantSettings{PerSecond: in.Body.PerSecond, Burst: in.Body.Burst, Children: in.Body.Children})
	if err != nil {
		return nil, err
	}
	return &answer[client.Tenant]{wireTenant(t)}, nil
}

// findTenant returns the tenant of a permit of access.ManageTenants, or NotFound.
func (s *server) findTenant(ctx context.Context, g access.Permit) (*pki.Tenant, error) {
	tenants, err := s.cfg.Hierarchy.Tenants(ctx, g)
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		if t.ID == g.Tenant() {
			return t, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "no tenant %.60q", string(g.Tenant()))
}

func wireTenant(t *pki.Tenant) client.Tenant {
	approvals := approvalsNone
	if t.Approvals {
		approvals = "default"
	}
	return client.Tenant{ID: string(t.ID), Organization: t.Organization, Created: t.Created, Approvals: approvals,
		Parent: string(t.Parent), Suspended: t.Suspended,
		Settings: client.TenantSettings{PerSecond: t.PerSecond, Burst: t.Burst, Children: t.Children}}
}
