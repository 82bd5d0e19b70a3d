package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Quota is how many certificates the tenant may have: in all, or from one authority,
// of one profile, in one product line or by one endpoint.
type Quota struct {
	Quota    string    `json:"quota" doc:"What it is for: tenant, authority:NAME, profile:NAME, product-line:NAME, endpoint:NAME, or loan:NAME, which the lender sets." example:"profile:meter"`
	Limit    int64     `json:"limit" doc:"How many there may be."`
	Used     int64     `json:"used" doc:"How many count: all that were asked for and not archived, but for those of decommissioned devices."`
	Counting bool      `json:"counting" doc:"Certificates from before the quota are still being counted: used is a part of them so far, and the quota refuses what goes beyond it by that part."`
	By       string    `json:"by" doc:"Who set it last."`
	Changed  time.Time `json:"changed"`
}

// NewQuota is the body of a change.
type NewQuota struct {
	Limit int64 `json:"limit" minimum:"0" maximum:"1000000000000" doc:"How many there may be. Below what is used nothing more is issued until less is."`
}

// Quotas returns the quotas of the client's tenant, in order of what they are for.
func (c *Client) Quotas(ctx context.Context) ([]Quota, error) {
	return list[Quota](ctx, c, "/quotas")
}

// SetQuota sets a quota.
func (c *Client) SetQuota(ctx context.Context, quota string, limit int64) (*Quota, error) {
	out := new(Quota)
	return orNil(out, c.do(ctx, call{method: http.MethodPut, path: "/quotas/" + url.PathEscape(quota)}, NewQuota{limit}, out))
}

// RemoveQuota ends a quota.
func (c *Client) RemoveQuota(ctx context.Context, quota string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/quotas/" + url.PathEscape(quota)}, nil, nil)
}
