package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Trust is an authority whose client certificates prove somebody within the tenant.
type Trust struct {
	Name        string    `json:"name"`
	Issuer      string    `json:"issuer,omitempty" doc:"Of the tenant's own authority; absent where it was imported."`
	Subject     string    `json:"subject" doc:"Of the authority's certificate."`
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 of the authority's certificate, in hexadecimal."`
	Ends        time.Time `json:"ends" doc:"The end of the authority's certificate."`
	Grants      []Grant   `json:"grants" doc:"What everybody may do whom the authority certifies."`
	Created     time.Time `json:"created"`
}

// NewTrust asks for trust in an authority: one of the tenant's own, or one whose
// certificate is given.
type NewTrust struct {
	Name        string   `json:"name" maxLength:"40" doc:"A slug of a-z, 0-9 and inner hyphens." example:"plant-brno"`
	Authority   string   `json:"authority,omitempty" maxLength:"64" doc:"Name or id of one of the tenant's own."`
	Certificate string   `json:"certificate,omitempty" maxLength:"32768" doc:"The certificate of another, in PEM: a CA's, with keyCertSign."`
	Role        string   `json:"role" doc:"One that does not administer, as factory-operator or auditor; or device, which enrols for itself alone." example:"factory-operator"`
	Scopes      []string `json:"scopes,omitempty" minItems:"1" maxItems:"100" uniqueItems:"true" doc:"Where they have the role; absent is the whole tenant. For device each names an endpoint, as endpoint:meter."`
}

// TrustChange is what changes of trust in an authority.
type TrustChange struct {
	Scopes []string `json:"scopes" minItems:"1" maxItems:"100" uniqueItems:"true" doc:"Where they have the role from now on, in the place of all that were there; tenant is the whole tenant." example:"[\"endpoint:meter\"]"`
}

// Trust returns the authorities whose client certificates prove somebody.
func (c *Client) Trust(ctx context.Context) ([]Trust, error) { return list[Trust](ctx, c, "/trust") }

// AddTrust trusts an authority's client certificates.
func (c *Client) AddTrust(ctx context.Context, n NewTrust) (*Trust, error) {
	return post[Trust](ctx, c, "/trust", n)
}

// ChangeTrust changes where those whom a trusted authority certifies have their role.
func (c *Client) ChangeTrust(ctx context.Context, name string, ch TrustChange) (*Trust, error) {
	return patch[Trust](ctx, c, "/trust/"+url.PathEscape(name), ch)
}

// RemoveTrust ends the trust in an authority.
func (c *Client) RemoveTrust(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/trust/" + url.PathEscape(name)}, nil, nil)
}
