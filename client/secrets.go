package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// NewSecret is an enrolment secret to make.
type NewSecret struct {
	Endpoint    string `json:"endpoint" doc:"Name or label of the endpoint at which it enrols." example:"meter"`
	Name        string `json:"name,omitempty" maxLength:"100" doc:"Whose it is, or what for."`
	Device      string `json:"device,omitempty" maxLength:"128" doc:"The only device that it enrols. Default: any."`
	Subject     string `json:"subject,omitempty" maxLength:"1024" doc:"The only subject that a request may have, as RFC 4514 writes it. Default: with device no attribute but the device's serialNumber and CN; without, what the profile takes." example:"CN=SM-1,O=Example Meters"`
	Once        bool   `json:"once,omitzero" doc:"It is good for one certificate; the same request gets it again. Default: for any number."`
	LifeSeconds int64  `json:"life_seconds,omitzero" minimum:"0" maximum:"63072000" doc:"How long it holds. Default: 7 days."`
	Chosen      Token  `json:"chosen,omitzero" doc:"The text of the secret, of 16 to 128 printable ASCII characters, for clients that cannot be given a random one: that is the default, and better."`
}

// An EnrolmentSecret is what enrols at an endpoint, without its text.
type EnrolmentSecret struct {
	ID       string     `json:"id" doc:"It is not secret, and the user name where one is asked for."`
	Endpoint string     `json:"endpoint"`
	Name     string     `json:"name,omitempty"`
	Device   string     `json:"device,omitempty" doc:"The only device that it enrols; absent: any."`
	Subject  string     `json:"subject,omitempty"`
	Once     bool       `json:"once"`
	Chosen   bool       `json:"chosen" doc:"Whether somebody chose its text."`
	Maker    string     `json:"maker,omitempty" doc:"The principal that made it."`
	Created  time.Time  `json:"created"`
	Expires  time.Time  `json:"expires"`
	Revoked  time.Time  `json:"revoked,omitzero"`
	Used     *SecretUse `json:"used,omitzero" doc:"The certificate of one that is good for one, where it was used; with one secret, not in lists."`
}

// A SecretUse is the certificate that a secret for one led to.
type SecretUse struct {
	Issuer string `json:"issuer"`
	Serial string `json:"serial"`
}

// A CreatedSecret is a new secret with its text, which is shown this once.
type CreatedSecret struct {
	EnrolmentSecret
	Secret Token `json:"secret" doc:"The text: the password of HTTP Basic, or the challengePassword. It is shown this once."`
}

// CreateSecret makes an enrolment secret in the client's tenant.
func (c *Client) CreateSecret(ctx context.Context, n NewSecret) (*CreatedSecret, error) {
	return post[CreatedSecret](ctx, c, "/secrets", n)
}

// Secrets returns up to limit secrets below the id before, newest first; "" is the
// newest. Those of an endpoint, of a device or of both where they are named. A page with
// a Next may have fewer than limit, or none.
func (c *Client) Secrets(ctx context.Context, endpoint, device, before string, limit int) (*List[EnrolmentSecret], error) {
	q := page("before", before, limit)
	setNonEmpty(q, map[string]string{"endpoint": endpoint, "device": device})
	return get[List[EnrolmentSecret]](ctx, c, "/secrets", q)
}

// Secret returns a secret, and what it was used for.
func (c *Client) Secret(ctx context.Context, id string) (*EnrolmentSecret, error) {
	return get[EnrolmentSecret](ctx, c, "/secrets/"+url.PathEscape(id), nil)
}

// RevokeSecret ends a secret, at once everywhere.
func (c *Client) RevokeSecret(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/secrets/" + url.PathEscape(id)}, nil, nil)
}
