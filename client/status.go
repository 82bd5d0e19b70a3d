package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A CRL is the latest of a CRL shard, full or delta, as the server has it.
type CRL struct {
	Issuer     string    `json:"issuer"`
	Shard      int       `json:"shard"`
	Delta      bool      `json:"delta,omitzero" doc:"It is the delta CRL."`
	Number     int64     `json:"number" doc:"0 where there is none yet."`
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	URL        string    `json:"url,omitempty" doc:"Where relying parties fetch it."`
	Pending    bool      `json:"pending,omitzero" doc:"There are revocations that are not in it yet."`
}

// A CRLRenewal says of which shard a new CRL is wanted.
type CRLRenewal struct {
	Shard *int `json:"shard,omitempty" minimum:"0" doc:"Default: all shards."`
}

// A Responder is the OCSP responder of an issuer.
type Responder struct {
	Issuer      string    `json:"issuer"`
	URL         string    `json:"url"`
	Serial      string    `json:"serial,omitempty" doc:"Of its certificate; absent where it has none."`
	NotBefore   time.Time `json:"not_before,omitzero"`
	NotAfter    time.Time `json:"not_after,omitzero" doc:"Certificate and key are followed by others when half of this is over."`
	Certificate string    `json:"certificate,omitempty" doc:"PEM."`
	Problem     string    `json:"problem,omitempty" doc:"Why there is none."`
}

// CRLs returns the CRLs of the tenant's issuers.
func (c *Client) CRLs(ctx context.Context) (all []CRL, err error) {
	for next := ""; ; {
		page, err := get[List[CRL]](ctx, c, "/crls", page("cursor", next, 1000))
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if next = page.Next; next == "" {
			return all, nil
		}
	}
}

// RenewCRLs has the CRLs of an issuer be made anew, of one shard or, where shard is
// nil, of all. They follow within moments.
func (c *Client) RenewCRLs(ctx context.Context, issuer string, shard *int) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/crls/" + url.PathEscape(issuer) + "/renew"}, CRLRenewal{Shard: shard}, nil)
}

// Responders returns the OCSP responders of the tenant's issuers.
func (c *Client) Responders(ctx context.Context) ([]Responder, error) {
	return list[Responder](ctx, c, "/ocsp/responders")
}
