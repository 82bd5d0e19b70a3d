package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

// CertificateQuery says which certificates are wanted; what is empty is any.
type CertificateQuery struct {
	Serial      string // hexadecimal
	Fingerprint string // SHA-256 in hexadecimal
	Device      string
	Lot         string
	ProductLine string
	Batch       string
	Subject     string // words with which words of the subject begin
	Status      string // Good, Held, Revoked or Expired
	Issuer      string // id
	Profile     string // name
	Owner       string // the tenant itself, or a child that it issued for
	ExpiresFrom time.Time
	ExpiresTo   time.Time // inclusive
}

func (x CertificateQuery) query(q url.Values) url.Values {
	setNonEmpty(q, map[string]string{
		"serial": x.Serial, "fingerprint": x.Fingerprint, "device": x.Device, "lot": x.Lot, "product_line": x.ProductLine,
		"batch": x.Batch, "subject": x.Subject, "status": x.Status, "issuer": x.Issuer, "profile": x.Profile, "owner": x.Owner,
	})
	for name, t := range map[string]time.Time{"expires_from": x.ExpiresFrom, "expires_to": x.ExpiresTo} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}

// Certificates returns a page of the certificates that the tenant issued or owns
// and that the query is about, from the cursor on ("" is the beginning). It may
// have fewer than the limit and a Next: see the API.
func (c *Client) Certificates(ctx context.Context, x CertificateQuery, cursor string, limit int) (*List[Certificate], error) {
	return get[List[Certificate]](ctx, c, "/certificates", x.query(page("cursor", cursor, limit)))
}

// ExportCertificates returns all of a search from the cursor on as a stream in
// NDJSON or CSV, which the caller closes; where no format is named it is one page in
// JSON. A stream that the server cut short ends in io.ErrUnexpectedEOF; the cursor of
// its last row goes on from there.
func (c *Client) ExportCertificates(ctx context.Context, x CertificateQuery, cursor string, f Format) (io.ReadCloser, error) {
	return c.export(ctx, "/certificates", x.query(page("cursor", cursor, 0)), f)
}

// ExportDevices does the same with devices.
func (c *Client) ExportDevices(ctx context.Context, x DeviceFilter, cursor string, f Format) (io.ReadCloser, error) {
	return c.export(ctx, "/devices", x.query(page("cursor", cursor, 0)), f)
}

func (c *Client) export(ctx context.Context, path string, q url.Values, f Format) (io.ReadCloser, error) {
	setNonEmpty(q, map[string]string{"format": string(f)})
	return c.open(ctx, call{method: http.MethodGet, path: path, query: q, accept: "*/*"})
}
