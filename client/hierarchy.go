package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Tenants returns every tenant; for platform operators.
func (c *Client) Tenants(ctx context.Context) ([]Tenant, error) {
	return list[Tenant](ctx, c, "/tenants")
}

// Tenant returns one tenant; for platform operators.
func (c *Client) Tenant(ctx context.Context, id string) (*Tenant, error) {
	return get[Tenant](ctx, c, "/tenants/"+url.PathEscape(id), nil)
}

// CreateTenant creates a tenant; for platform operators.
func (c *Client) CreateTenant(ctx context.Context, n NewTenant) (*Tenant, error) {
	return post[Tenant](ctx, c, "/tenants", n)
}

// SetTenant replaces a tenant's settings; for platform operators.
func (c *Client) SetTenant(ctx context.Context, id string, n TenantSettings) (*Tenant, error) {
	out := new(Tenant)
	return orNil(out, c.do(ctx, call{method: http.MethodPut, path: "/tenants/" + url.PathEscape(id) + "/settings"}, n, out))
}

// Authorities returns the tenant's authorities.
func (c *Client) Authorities(ctx context.Context) ([]Authority, error) {
	return list[Authority](ctx, c, "/authorities")
}

// Authority returns one authority, by name or id.
func (c *Client) Authority(ctx context.Context, nameOrID string) (*Authority, error) {
	return get[Authority](ctx, c, authorityPath(nameOrID), nil)
}

// CreateAuthority creates an authority with a key on the server.
func (c *Client) CreateAuthority(ctx context.Context, n NewAuthority) (*Authority, error) {
	return post[Authority](ctx, c, "/authorities", n)
}

// ImportRoot makes a root known whose certificate a ceremony made.
func (c *Client) ImportRoot(ctx context.Context, n NewRoot) (*Authority, error) {
	return post[Authority](ctx, c, "/authorities/roots", n)
}

// RetireAuthority ends an authority's issuance for good; its status goes on.
func (c *Client) RetireAuthority(ctx context.Context, nameOrID string) error {
	return c.do(ctx, call{method: http.MethodPost, path: authorityPath(nameOrID) + "/retire"}, nil, nil)
}

// AddIndexes has an authority get indexes for searches, which are made in the background:
// its Indexing says how far it is.
func (c *Client) AddIndexes(ctx context.Context, nameOrID string, n NewIndexes) (*Authority, error) {
	return post[Authority](ctx, c, authorityPath(nameOrID)+"/indexes", n)
}

// Rollover makes an authority's next issuer, which is published and signs no certificate
// of others before Switch.
func (c *Client) Rollover(ctx context.Context, nameOrID string, r Rollover) (*Authority, error) {
	return post[Authority](ctx, c, authorityPath(nameOrID)+"/rollover", r)
}

// Switch makes an authority's next issuer the active one.
func (c *Client) Switch(ctx context.Context, nameOrID string) (*Authority, error) {
	return post[Authority](ctx, c, authorityPath(nameOrID)+"/switch", struct{}{})
}

// DropNext ends an authority's next issuer, which it was not switched to. An authority that
// is pending itself is gone with it.
func (c *Client) DropNext(ctx context.Context, nameOrID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: authorityPath(nameOrID) + "/next"}, nil, nil)
}

// AuthorityRequest returns the file that asks a ceremony for a pending
// issuer's certificate.
func (c *Client) AuthorityRequest(ctx context.Context, nameOrID string) ([]byte, error) {
	return c.read(ctx, call{method: http.MethodGet, path: authorityPath(nameOrID) + "/request"})
}

// CRLRequest returns the file that asks a ceremony for the next CRL of a root's issuer, ""
// for the active one, of the given number of days until the one after it.
func (c *Client) CRLRequest(ctx context.Context, root, issuer string, days int) ([]byte, error) {
	q := url.Values{"days": {strconv.Itoa(days)}}
	if issuer != "" {
		q.Set("issuer", issuer)
	}
	return c.read(ctx, call{method: http.MethodGet, path: authorityPath(root) + "/crl-request", query: q})
}

// Install hands in a ceremony's answer, as the file it wrote: the certificate of
// a pending authority, or a root's CRL. It returns the authority concerned.
func (c *Client) Install(ctx context.Context, response []byte) (*Authority, error) {
	a := new(Authority)
	err := c.do(ctx, call{method: http.MethodPost, path: "/authorities/install",
		contentType: "application/json", text: response}, nil, a)
	return orNil(a, err)
}

// Chain returns the certificates of an authority's active issuer: its own, then
// up to and with the root, in PEM.
func (c *Client) Chain(ctx context.Context, nameOrID string) ([]byte, error) {
	return c.read(ctx, call{method: http.MethodGet, path: authorityPath(nameOrID) + "/chain", accept: mediaPEMChain})
}

// Profiles returns the latest version of each of the tenant's profiles, without
// the documents.
func (c *Client) Profiles(ctx context.Context) ([]Profile, error) {
	return list[Profile](ctx, c, "/profiles")
}

// ProfileVersions returns the versions of a profile, the latest first, without their
// sources and with who published each.
func (c *Client) ProfileVersions(ctx context.Context, name string) ([]Profile, error) {
	return list[Profile](ctx, c, "/profiles/"+url.PathEscape(name)+"/versions")
}

// Profile returns a version of a profile; 0 is the latest.
func (c *Client) Profile(ctx context.Context, name string, version int) (*Profile, error) {
	q := url.Values{}
	if version != 0 {
		q.Set("version", strconv.Itoa(version))
	}
	return get[Profile](ctx, c, "/profiles/"+url.PathEscape(name), q)
}

// PublishProfile publishes a YAML document as the next version of the profile it
// names. The same document again is the same version.
func (c *Client) PublishProfile(ctx context.Context, source []byte) (*Profile, error) {
	return post[Profile](ctx, c, "/profiles", NewProfile{Source: string(source)})
}

func authorityPath(nameOrID string) string { return "/authorities/" + url.PathEscape(nameOrID) }
