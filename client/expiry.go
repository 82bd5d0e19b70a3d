package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// An Expiry is what of a tenant ends within a window.
type Expiry struct {
	Until        time.Time     `json:"until" doc:"The end of the window."`
	Items        []ExpiryItem  `json:"items" doc:"What ends, the first to end first, with everything that somebody must act on."`
	Certificates []ExpiryCount `json:"certificates" doc:"How many certificates of devices end, by month and profile."`
}

// An ExpiryItem is one thing that ends.
type ExpiryItem struct {
	Kind     string    `json:"kind" enum:"authority,credential,crl,token,profile" doc:"credential: a certificate of the server's own. crl: of an issuer whose key is offline. profile: at an endpoint, whose certificates would outlive their authority."`
	Name     string    `json:"name"`
	Ends     time.Time `json:"ends"`
	Severity string    `json:"severity,omitempty" enum:"critical,warning" doc:"Absent while nobody needs to act."`
	Do       string    `json:"do" doc:"What to do about it."`
}

// An ExpiryCount is how many certificates of a profile end within a month, whether
// or not they have been revoked since.
type ExpiryCount struct {
	Month   string `json:"month" doc:"In UTC." example:"2026-11"`
	Profile string `json:"profile"`
	Version int    `json:"version"`
	Count   int64  `json:"count"`
}

// Expiry returns what of the client's tenant ends within so many days.
func (c *Client) Expiry(ctx context.Context, days int) (*Expiry, error) {
	return get[Expiry](ctx, c, "/expiry", url.Values{"days": {strconv.Itoa(days)}})
}
