package cli

import (
	"context"
	"io"

	"github.com/pando-pki/pando/client"
)

// quotaCommand is "pando quota".
type quotaCommand struct {
	List   quotaList   `cmd:"" help:"List the quotas, and what of them is used."`
	Set    quotaSet    `cmd:"" help:"Set how many certificates there may be."`
	Remove quotaRemove `cmd:"" help:"End a quota."`
}

func (quotaCommand) Help() string {
	return `A quota bounds how many certificates a tenant has: in all (tenant), from one authority (authority:NAME), of one profile in all its versions (profile:NAME), in one product line (product-line:NAME), or by one endpoint (endpoint:NAME). A certificate counts from its intent on, a renewal as much as the first; it counts no more when its device is decommissioned or when it has expired and is archived. What finds no room is refused with the kind quota-exceeded.

Examples:

    pando quota set tenant 500000
    pando quota set product-line:pro 20000
    pando quota list`
}

// quotaList is "pando quota list".
type quotaList struct{}

// Run lists the quotas.
func (quotaList) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Quotas(ctx)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Quota]{Items: items}, quotas(items...), "", "")
}

// quotaSet is "pando quota set".
type quotaSet struct {
	Quota string `arg:"" help:"What it is for: tenant, authority:NAME, profile:NAME, product-line:NAME or endpoint:NAME, of what is there."`
	Limit int64  `arg:"" help:"How many certificates there may be, from 0 on."`
}

func (quotaSet) Help() string {
	return `A new quota counts the certificates that there are already: a few thousand at once, more in the background, and until that is over 'pando quota list' says "counting". Meanwhile it refuses by what it has counted so far. A limit below what is used refuses everything until less is used.

Examples:

    pando quota set profile:meter 100000
    pando quota set authority:manufacturing 1000000 --json`
}

// Run sets the quota.
func (q *quotaSet) Run(ctx context.Context, c *console, cl *client.Client) error {
	set, err := cl.SetQuota(ctx, q.Quota, q.Limit)
	if err != nil {
		return err
	}
	return c.result(set, quotas(*set).write)
}

// quotaRemove is "pando quota remove".
type quotaRemove struct {
	Quota string `arg:"" help:"What it is for, as 'pando quota list' shows it."`
}

// Run ends the quota.
func (q *quotaRemove) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := cl.RemoveQuota(ctx, q.Quota); err != nil {
		return err
	}
	c.note("%s has no quota any more", q.Quota)
	return c.result(ended{q.Quota, "removed"}, func(io.Writer) error { return nil })
}

// quotas prints quotas for people.
func quotas(items ...client.Quota) *table {
	t := &table{heading: []string{"QUOTA", "USED", "LIMIT", "STATE", "CHANGED", "BY"}}
	for _, x := range items {
		state := "counted"
		if x.Counting {
			state = "counting"
		}
		t.add(x.Quota, x.Used, x.Limit, state, when(x.Changed), x.By)
	}
	return t
}
