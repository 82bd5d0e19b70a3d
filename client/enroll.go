package client

import (
	"context"
	"net/http"
	"net/url"
)

// The media types that carry certificates.
const (
	mediaPEMChain = "application/pem-certificate-chain" // RFC 8555, 9.1
	mediaDER      = "application/pkix-cert"             // RFC 2585
)

// Endpoints returns the tenant's endpoints.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	return list[Endpoint](ctx, c, "/endpoints")
}

// Endpoint returns one endpoint, by name or label.
func (c *Client) Endpoint(ctx context.Context, name string) (*Endpoint, error) {
	return get[Endpoint](ctx, c, "/endpoints/"+url.PathEscape(name), nil)
}

// CreateEndpoint creates an endpoint.
func (c *Client) CreateEndpoint(ctx context.Context, n NewEndpoint) (*Endpoint, error) {
	return post[Endpoint](ctx, c, "/endpoints", n)
}

// ChangeEndpoint changes an endpoint; what ch does not say stays as it is.
func (c *Client) ChangeEndpoint(ctx context.Context, name string, ch EndpointChange) (*Endpoint, error) {
	return patch[Endpoint](ctx, c, "/endpoints/"+url.PathEscape(name), ch)
}

// Enroll asks for one certificate. With an idempotency key, of at most 128
// bytes, the same request may be made again and gets the same certificate.
func (c *Client) Enroll(ctx context.Context, e Enrollment, idempotencyKey string) (*Enrolled, error) {
	out := new(Enrolled)
	return orNil(out, c.do(ctx, call{method: http.MethodPost, path: "/enrollments", idempotency: idempotencyKey}, e, out))
}

// Certificate returns a certificate with its status. The serial is hexadecimal. The
// issuer is its id, or "" where one alone has the serial, as in all that reads.
func (c *Client) Certificate(ctx context.Context, issuer, serial string) (*Certificate, error) {
	return get[Certificate](ctx, c, certificatePath(issuer, serial), nil)
}

// CertificateChain returns a certificate and those above it, with the root, in
// PEM.
func (c *Client) CertificateChain(ctx context.Context, issuer, serial string) ([]byte, error) {
	return c.read(ctx, call{method: http.MethodGet, path: certificatePath(issuer, serial), accept: mediaPEMChain})
}

// CertificateDER returns a certificate in DER.
func (c *Client) CertificateDER(ctx context.Context, issuer, serial string) ([]byte, error) {
	return c.read(ctx, call{method: http.MethodGet, path: certificatePath(issuer, serial), accept: mediaDER})
}

// Revoke revokes a certificate for good, for a reason that RFC 5280, 5.3.1,
// names, and returns its status from now on. With the reason certificateHold it
// is held, until it is released or revoked for good.
func (c *Client) Revoke(ctx context.Context, issuer, serial, reason string) (*Status, error) {
	return post[Status](ctx, c, certificatePath(issuer, serial)+"/revoke", Revocation{Reason: reason})
}

// Release ends the hold of a certificate and returns its status from now on.
func (c *Client) Release(ctx context.Context, issuer, serial string) (*Status, error) {
	return post[Status](ctx, c, certificatePath(issuer, serial)+"/release", nil)
}

func certificatePath(issuer, serial string) string {
	if issuer == "" {
		issuer = "-"
	}
	return "/certificates/" + url.PathEscape(issuer) + "/" + url.PathEscape(serial)
}
