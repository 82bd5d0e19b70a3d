package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
)

type newRoleInput struct {
	Caller
	Body client.NewRole
}

type roleInput struct {
	Caller
	Role string `path:"role"`
}

type changeRoleInput struct {
	Caller
	Role string `path:"role"`
	Body client.RoleChange
}

type grantsInput struct {
	Caller
	Principal string `query:"principal" maxLength:"64" doc:"Of this one alone, as token:0d3k2 or trust:plant-brno."`
	Role      string `query:"role" maxLength:"40" doc:"Of this role alone."`
}

type newGrantInput struct {
	Caller
	Body client.NewGrant
}

type grantInput struct {
	Caller
	ID string `path:"id"`
}

type explainInput struct {
	Caller
	Principal  string `query:"principal" required:"true" maxLength:"64" doc:"As token:0d3k2 or trust:plant-brno."`
	Permission string `query:"permission" required:"true" maxLength:"60" example:"certificates.revoke"`
	Scope      string `query:"scope" maxLength:"1600" default:"tenant" example:"product-line:pro"`
}

func (s *server) listRoles(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Role], error) {
	own, err := s.cfg.Access.OwnRoles(ctx, g)
	if err != nil {
		return nil, err
	}
	var all []client.Role
	for _, r := range access.Roles() {
		all = append(all, client.Role{Name: string(r), BuiltIn: true, Permissions: slugs[string](access.PermissionsOf(r))})
	}
	for _, r := range own {
		all = append(all, wireRole(r))
	}
	return &listOf[client.Role]{Body: client.List[client.Role]{Items: all}}, nil
}

func (s *server) createRole(ctx context.Context, g access.Permit, in *newRoleInput) (*answer[client.Role], error) {
	return roleAnswer(s.cfg.Access.CreateRole(ctx, g, ownRole(in.Body.Name, in.Body.RoleChange)))
}

func (s *server) changeRole(ctx context.Context, g access.Permit, in *changeRoleInput) (*answer[client.Role], error) {
	return roleAnswer(s.cfg.Access.ChangeRole(ctx, g, ownRole(in.Role, in.Body)))
}

func (s *server) deleteRole(ctx context.Context, g access.Permit, in *roleInput) (*struct{}, error) {
	return nil, s.cfg.Access.DeleteRole(ctx, g, access.Role(in.Role))
}

func (s *server) listGrants(ctx context.Context, g access.Permit, in *grantsInput) (*listOf[client.Grant], error) {
	all, err := s.cfg.Access.Grants(ctx, g, in.Principal, access.Role(in.Role))
	if err != nil {
		return nil, err
	}
	return &listOf[client.Grant]{Body: client.List[client.Grant]{Items: wireGrants(all)}}, nil
}

func (s *server) addGrant(ctx context.Context, g access.Permit, in *newGrantInput) (*answer[client.Grant], error) {
	scope, err := scopeOf(in.Body.Scope)
	if err != nil {
		return nil, err
	}
	given, err := s.cfg.Access.Give(ctx, g, in.Body.Principal, access.Role(in.Body.Role), scope)
	if err != nil {
		return nil, err
	}
	return &answer[client.Grant]{wireGrant(given)}, nil
}

func (s *server) removeGrant(ctx context.Context, g access.Permit, in *grantInput) (*struct{}, error) {
	return nil, s.cfg.Access.Take(ctx, g, in.ID)
}

func (s *server) explainAccess(ctx context.Context, g access.Permit, in *explainInput) (*answer[client.Explanation], error) {
	scope, err := scopeOf(in.Scope)
	if err != nil {
		return nil, err
	}
	e, err := s.cfg.Access.Explain(ctx, g, in.Principal, access.Permission(in.Permission), scope)
	if err != nil {
		return nil, err
	}
	out := client.Explanation{Allowed: e.Allowed, Ended: e.Ended, Grants: make([]client.Reason, len(e.Grants))}
	for i := range e.Grants {
		r := &e.Grants[i]
		out.Grants[i] = client.Reason{Grant: wireGrant(&r.Grant), Includes: r.Includes, Covers: r.Covers}
	}
	return &answer[client.Explanation]{out}, nil
}

// scopeOf reads a scope; "" is the whole tenant.
func scopeOf(text string) (access.Scope, error) {
	if text == "" {
		return access.Scope{}, nil
	}
	return access.ParseScope(text)
}

func ownRole(name string, r client.RoleChange) access.OwnRole {
	return access.OwnRole{Name: access.Role(name), Description: r.Description, Permissions: slugs[access.Permission](r.Permissions)}
}

func roleAnswer(r *access.OwnRole, err error) (*answer[client.Role], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Role]{wireRole(r)}, nil
}

func wireRole(r *access.OwnRole) client.Role {
	return client.Role{Name: string(r.Name), Description: r.Description, Permissions: slugs[string](r.Permissions), Created: r.Created}
}

func wireGrant(g *access.Grant) client.Grant {
	return client.Grant{ID: g.ID, Principal: g.Principal, Role: string(g.Role), Scope: g.Scope.String(), Actor: g.Actor, Created: g.Created}
}

func wireGrants(all []access.Grant) []client.Grant {
	out := make([]client.Grant, len(all))
	for i := range all {
		out[i] = wireGrant(&all[i])
	}
	return out
}
