package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// WhoAmI returns who the client's token is.
func (c *Client) WhoAmI(ctx context.Context) (*Identity, error) {
	return get[Identity](ctx, c, "/whoami", nil)
}

// Tokens returns the tokens of the client's own tenant, newest first.
func (c *Client) Tokens(ctx context.Context) ([]APIToken, error) {
	return list[APIToken](ctx, c, "/tokens")
}

// CreateToken creates a token in the client's own tenant.
func (c *Client) CreateToken(ctx context.Context, n NewToken) (*CreatedToken, error) {
	return post[CreatedToken](ctx, c, "/tokens", n)
}

// RevokeToken ends a token of the client's own tenant.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/tokens/" + url.PathEscape(id)}, nil, nil)
}

// TenantTokens returns a tenant's tokens; for platform operators.
func (c *Client) TenantTokens(ctx context.Context, tenant string) ([]APIToken, error) {
	return list[APIToken](ctx, c, "/tenants/"+url.PathEscape(tenant)+"/tokens")
}

// CreateTenantToken creates a token in a tenant, for its first administrator;
// for platform operators.
func (c *Client) CreateTenantToken(ctx context.Context, tenant string, n NewToken) (*CreatedToken, error) {
	return post[CreatedToken](ctx, c, "/tenants/"+url.PathEscape(tenant)+"/tokens", n)
}

// RevokeTenantToken ends a token of a tenant; for platform operators.
func (c *Client) RevokeTenantToken(ctx context.Context, tenant, id string) error {
	return c.do(ctx, call{method: http.MethodDelete,
		path: "/tenants/" + url.PathEscape(tenant) + "/tokens/" + url.PathEscape(id)}, nil, nil)
}

// An EventFilter says which events are wanted; what is empty does not matter.
type EventFilter struct {
	Target string // as "batch:0d3k2"
	Actor  string // as "token:0d3k2", with or without the name behind it
	Action string // as "batch.pause", or "batch" for all of these
}

// Events returns up to limit of the tenant's events, newest first, that come
// before the given cursor ("" from the newest). A page with a Next may have fewer than
// limit, or none.
func (c *Client) Events(ctx context.Context, f EventFilter, before string, limit int) (*List[Event], error) {
	q := page("before", before, limit)
	setNonEmpty(q, map[string]string{"target": f.Target, "actor": f.Actor, "action": f.Action})
	return get[List[Event]](ctx, c, "/events", q)
}

// blockAtOnce is how many keys one request may name.
const blockAtOnce = 900

// BlockKeys refuses keys from now on, named by the SHA-256 of their
// SubjectPublicKeyInfo in hexadecimal, and returns how many were new. A long
// list is sent in parts, each of which holds by itself. For platform operators.
func (c *Client) BlockKeys(ctx context.Context, hashes []string) (added int, err error) {
	for len(hashes) > 0 {
		part := hashes[:min(len(hashes), blockAtOnce)]
		hashes = hashes[len(part):]
		r, err := post[BlocklistResult](ctx, c, "/blocklist", Blocklist{Hashes: part})
		if err != nil {
			return added, err
		}
		added += r.Added
	}
	return added, nil
}

// page returns the query of a listing; a limit of 0 is the server's default.
func page(cursor, value string, limit int) url.Values {
	q := url.Values{}
	if value != "" {
		q.Set(cursor, value)
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

func get[T any](ctx context.Context, c *Client, path string, q url.Values) (*T, error) {
	out := new(T)
	return orNil(out, c.do(ctx, call{method: http.MethodGet, path: path, query: q}, nil, out))
}

func post[T any](ctx context.Context, c *Client, path string, in any) (*T, error) {
	out := new(T)
	return orNil(out, c.do(ctx, call{method: http.MethodPost, path: path}, in, out))
}

// list returns the items of a listing that has one page.
func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	l, err := get[List[T]](ctx, c, path, nil)
	if err != nil {
		return nil, err
	}
	return l.Items, nil
}

func orNil[T any](out *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return out, nil
}
