package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Grant gives a principal a role on a scope.
type Grant struct {
	ID        string    `json:"id,omitempty"`
	Principal string    `json:"principal,omitempty" doc:"Who has it: token:ID, or trust:NAME for all whom a trusted authority certifies." example:"token:0d3k2"`
	Role      string    `json:"role" example:"factory-operator"`
	Scope     string    `json:"scope" doc:"tenant is all of it; or authority:NAME, product-line:NAME, site:NAME and endpoint:NAME, joined by + where all must hold." example:"product-line:pro+site:berlin"`
	Actor     string    `json:"actor,omitempty" doc:"Who gave it; absent where that is not known."`
	Created   time.Time `json:"created,omitzero"`
}

// NewGrant gives a role on a scope.
type NewGrant struct {
	Principal string `json:"principal" maxLength:"64" doc:"token:ID, or trust:NAME for all whom a trusted authority certifies." example:"token:0d3k2"`
	Role      string `json:"role" maxLength:"40" doc:"Built in or own." example:"ra-operator"`
	Scope     string `json:"scope,omitempty" maxLength:"1600" doc:"Absent is the whole tenant." example:"product-line:pro"`
}

// A Role is a set of permissions.
type Role struct {
	Name        string    `json:"name"`
	BuiltIn     bool      `json:"built_in,omitzero"`
	Description string    `json:"description,omitempty"`
	Permissions []string  `json:"permissions"`
	Created     time.Time `json:"created,omitzero" doc:"Absent where it is built in."`
}

// A RoleChange is what an own role is to be.
type RoleChange struct {
	Description string   `json:"description,omitempty" maxLength:"400"`
	Permissions []string `json:"permissions" minItems:"1" maxItems:"100" uniqueItems:"true" doc:"All that it includes; whoever adds one has it on the whole tenant." example:"certificates.read"`
}

// NewRole asks for an own role.
type NewRole struct {
	Name string `json:"name" maxLength:"40" doc:"A slug of a-z, 0-9 and inner hyphens." example:"shift-lead"`
	RoleChange
}

// An Explanation says whether a principal has a permission on a scope, and why.
type Explanation struct {
	Allowed bool     `json:"allowed"`
	Ended   bool     `json:"ended,omitzero" doc:"There is no such principal, or no more: nothing is allowed."`
	Grants  []Reason `json:"grants" doc:"Those that make it so, then those that come nearest."`
}

// A Reason is what one grant says about it.
type Reason struct {
	Grant
	Includes bool `json:"includes" doc:"Its role includes the permission."`
	Covers   bool `json:"covers" doc:"Its scope covers the one that was asked for."`
}

// Roles returns the roles, built in and own.
func (c *Client) Roles(ctx context.Context) ([]Role, error) { return list[Role](ctx, c, "/roles") }

// CreateRole creates an own role.
func (c *Client) CreateRole(ctx context.Context, n NewRole) (*Role, error) {
	return post[Role](ctx, c, "/roles", n)
}

// ChangeRole replaces what an own role includes.
func (c *Client) ChangeRole(ctx context.Context, name string, ch RoleChange) (*Role, error) {
	out := new(Role)
	return orNil(out, c.do(ctx, call{method: http.MethodPut, path: "/roles/" + url.PathEscape(name)}, ch, out))
}

// DeleteRole deletes an own role that nobody has.
func (c *Client) DeleteRole(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/roles/" + url.PathEscape(name)}, nil, nil)
}

// Grants returns who has which role where; of a principal or a role where one is named.
func (c *Client) Grants(ctx context.Context, principal, role string) ([]Grant, error) {
	q := url.Values{}
	setNonEmpty(q, map[string]string{"principal": principal, "role": role})
	all, err := get[List[Grant]](ctx, c, "/grants", q)
	if err != nil {
		return nil, err
	}
	return all.Items, nil
}

// AddGrant gives a role on a scope.
func (c *Client) AddGrant(ctx context.Context, n NewGrant) (*Grant, error) {
	return post[Grant](ctx, c, "/grants", n)
}

// RemoveGrant takes a grant away.
func (c *Client) RemoveGrant(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/grants/" + url.PathEscape(id)}, nil, nil)
}

// ExplainAccess says whether a principal has a permission on a scope, and why; an empty
// scope is the whole tenant.
func (c *Client) ExplainAccess(ctx context.Context, principal, permission, scope string) (*Explanation, error) {
	q := url.Values{}
	setNonEmpty(q, map[string]string{"principal": principal, "permission": permission, "scope": scope})
	return get[Explanation](ctx, c, "/access/explain", q)
}
