package client

import (
	"context"
	"net/http"
	"net/url"
)

// ProductLines returns a page of the tenant's product lines, in order of name.
func (c *Client) ProductLines(ctx context.Context, cursor string, limit int) (*List[Place], error) {
	return get[List[Place]](ctx, c, "/product-lines", page("cursor", cursor, limit))
}

// ProductLine returns one product line.
func (c *Client) ProductLine(ctx context.Context, name string) (*Place, error) {
	return get[Place](ctx, c, "/product-lines/"+url.PathEscape(name), nil)
}

// CreateProductLine registers a product line.
func (c *Client) CreateProductLine(ctx context.Context, n NewPlace) (*Place, error) {
	return post[Place](ctx, c, "/product-lines", n)
}

// ChangeProductLine describes a product line.
func (c *Client) ChangeProductLine(ctx context.Context, name string, ch PlaceChange) (*Place, error) {
	return patch[Place](ctx, c, "/product-lines/"+url.PathEscape(name), ch)
}

// Sites returns a page of the tenant's sites, in order of name.
func (c *Client) Sites(ctx context.Context, cursor string, limit int) (*List[Place], error) {
	return get[List[Place]](ctx, c, "/sites", page("cursor", cursor, limit))
}

// Site returns one site.
func (c *Client) Site(ctx context.Context, name string) (*Place, error) {
	return get[Place](ctx, c, "/sites/"+url.PathEscape(name), nil)
}

// CreateSite registers a site.
func (c *Client) CreateSite(ctx context.Context, n NewPlace) (*Place, error) {
	return post[Place](ctx, c, "/sites", n)
}

// ChangeSite describes a site.
func (c *Client) ChangeSite(ctx context.Context, name string, ch PlaceChange) (*Place, error) {
	return patch[Place](ctx, c, "/sites/"+url.PathEscape(name), ch)
}

// LotFilter says which lots are wanted; what is empty is any.
type LotFilter struct{ ProductLine, Site, State string }

// Lots returns a page of the tenant's lots, in order of name.
func (c *Client) Lots(ctx context.Context, f LotFilter, cursor string, limit int) (*List[Lot], error) {
	q := page("cursor", cursor, limit)
	setNonEmpty(q, map[string]string{"product_line": f.ProductLine, "site": f.Site, "state": f.State})
	return get[List[Lot]](ctx, c, "/lots", q)
}

// Lot returns one lot.
func (c *Client) Lot(ctx context.Context, name string) (*Lot, error) {
	return get[Lot](ctx, c, lotPath(name), nil)
}

// CreateLot registers a lot.
func (c *Client) CreateLot(ctx context.Context, n NewLot) (*Lot, error) {
	return post[Lot](ctx, c, "/lots", n)
}

// ChangeLot changes an open lot.
func (c *Client) ChangeLot(ctx context.Context, name string, ch LotChange) (*Lot, error) {
	return patch[Lot](ctx, c, lotPath(name), ch)
}

// CloseLot closes a lot, of which so many devices were scrapped without a
// certificate (nil: none, or what was said when it was closed), and returns its signed
// report; the same again for a closed one.
func (c *Client) CloseLot(ctx context.Context, name string, scrapped *int64) (*LotReport, error) {
	return post[LotReport](ctx, c, lotPath(name)+"/close", LotClosing{Scrapped: scrapped})
}

// LotReport returns the signed report of a closed lot.
func (c *Client) LotReport(ctx context.Context, name string) (*LotReport, error) {
	return get[LotReport](ctx, c, lotPath(name)+"/report", nil)
}

// LotReportKey returns the public key that lot reports are checked with.
func (c *Client) LotReportKey(ctx context.Context) (*LotReportKey, error) {
	return get[LotReportKey](ctx, c, "/lot-report-key", nil)
}

// Registry returns how the registry takes new names.
func (c *Client) Registry(ctx context.Context) (*Registry, error) {
	return get[Registry](ctx, c, "/registry", nil)
}

// ChangeRegistry says how the registry takes new names.
func (c *Client) ChangeRegistry(ctx context.Context, r Registry) (*Registry, error) {
	return patch[Registry](ctx, c, "/registry", r)
}

func lotPath(name string) string { return "/lots/" + url.PathEscape(name) }

func patch[T any](ctx context.Context, c *Client, path string, in any) (*T, error) {
	out := new(T)
	return orNil(out, c.do(ctx, call{method: http.MethodPatch, path: path}, in, out))
}

// setNonEmpty sets the parameters of a query that say something.
func setNonEmpty(q url.Values, values map[string]string) {
	for name, value := range values {
		if value != "" {
			q.Set(name, value)
		}
	}
}
