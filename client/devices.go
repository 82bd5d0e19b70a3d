package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// DeviceFilter says which devices are wanted; what is empty is any.
type DeviceFilter struct{ Prefix, State, ProductLine, Lot, Site string }

func (f DeviceFilter) query(q url.Values) url.Values {
	setNonEmpty(q, map[string]string{"prefix": f.Prefix, "state": f.State, "product_line": f.ProductLine, "lot": f.Lot, "site": f.Site})
	return q
}

// Devices returns a page of the tenant's devices.
func (c *Client) Devices(ctx context.Context, f DeviceFilter, cursor string, limit int) (*List[Device], error) {
	return get[List[Device]](ctx, c, "/devices", f.query(page("cursor", cursor, limit)))
}

// Device returns one device.
func (c *Client) Device(ctx context.Context, id string) (*Device, error) {
	return get[Device](ctx, c, devicePath(id), nil)
}

// ChangeDevice moves a device to another state: activate, suspend, resume, return
// or decommission.
func (c *Client) ChangeDevice(ctx context.Context, id, act string, ch DeviceChange) (*Device, error) {
	return post[Device](ctx, c, devicePath(id)+"/"+url.PathEscape(act), ch)
}

// ImportDevices makes the devices of a list known, in NDJSON or CSV; rows that
// say no place get the one given. It is not sent again by itself, but the same
// list again changes nothing more.
func (c *Client) ImportDevices(ctx context.Context, f Format, defaults DeviceFilter, body io.Reader) (*DeviceImport, error) {
	media := map[Format]string{NDJSON: "application/x-ndjson", CSV: "text/csv"}[f]
	if media == "" {
		return nil, fmt.Errorf("format %q: it is %s or %s", f, NDJSON, CSV)
	}
	out := new(DeviceImport)
	return orNil(out, c.do(ctx, call{method: http.MethodPost, path: "/devices", query: defaults.query(url.Values{}), contentType: media, body: body}, nil, out))
}

func devicePath(id string) string { return "/devices/" + url.PathEscape(id) }
