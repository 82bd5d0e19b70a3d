package restapi

import (
	"context"
	"encoding/hex"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// nothing is the input of an operation without parameters.
type nothing struct{ Caller }

// answer is an output that is a JSON body alone.
type answer[T any] struct{ Body T }

// listOf is an output that is one page of a listing.
type listOf[T any] = answer[client.List[T]]

// each makes a page of a listing of what f makes of each item.
func each[S, T any](items []S, next string, f func(S) T) *listOf[T] {
	out := &listOf[T]{Body: client.List[T]{Items: make([]T, len(items)), Next: next}}
	for i, item := range items {
		out.Body.Items[i] = f(item)
	}
	return out
}

type tenantInput struct {
	Caller
	Tenant string `path:"tenant"`
}

type newTenantInput struct {
	Caller
	Body client.NewTenant
}

func (s *server) listTenants(ctx context.Context, g access.Grant, _ *nothing) (*listOf[client.Tenant], error) {
	tenants, err := s.cfg.Hierarchy.Tenants(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(tenants, "", wireTenant), nil
}

func (s *server) createTenant(ctx context.Context, g access.Grant, in *newTenantInput) (*answer[client.Tenant], error) {
	t, err := s.cfg.Hierarchy.CreateTenant(ctx, g, pki.TenantID(in.Body.ID), in.Body.Organization)
	if err != nil {
		return nil, err
	}
	return &answer[client.Tenant]{wireTenant(t)}, nil
}

func (s *server) getTenant(ctx context.Context, g access.Grant, in *tenantInput) (*answer[client.Tenant], error) {
	t, err := s.findTenant(ctx, g)
	if err != nil {
		return nil, err
	}
	return &answer[client.Tenant]{wireTenant(t)}, nil
}

// findTenant returns the tenant of a grant of access.ManageTenants, or NotFound.
func (s *server) findTenant(ctx context.Context, g access.Grant) (*pki.Tenant, error) {
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
	return client.Tenant{ID: string(t.ID), Organization: t.Organization, Created: t.Created}
}

type blocklistInput struct {
	Caller
	Body client.Blocklist
}

func (s *server) blockKeys(ctx context.Context, g access.Grant, in *blocklistInput) (*answer[client.BlocklistResult], error) {
	hashes := make([][32]byte, len(in.Body.Hashes))
	for i, text := range in.Body.Hashes {
		if n, err := hex.Decode(hashes[i][:], []byte(text)); err != nil || n != len(hashes[i]) || len(text) != 2*n {
			return nil, pki.Errorf(pki.Malformed, "hash %.70q: it is the SHA-256 of a SubjectPublicKeyInfo in 64 hexadecimal digits", text)
		}
	}
	added, err := s.cfg.Enroll.BlockKeys(ctx, g, hashes)
	if err != nil {
		return nil, err
	}
	return &answer[client.BlocklistResult]{client.BlocklistResult{Added: added}}, nil
}
