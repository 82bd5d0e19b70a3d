package cli

import (
	"context"
	"strconv"

	"github.com/pando-pki/pando/client"
)

// tenantCommand is "pando tenant", for platform operators.
type tenantCommand struct {
	Create tenantCreate `cmd:"" help:"Create a tenant."`
	List   tenantList   `cmd:"" help:"List the tenants."`
	Show   tenantShow   `cmd:"" help:"Show one tenant."`
	Set    tenantSet    `cmd:"" help:"Set a tenant's limits."`
}

func (tenantCommand) Help() string {
	return `A tenant is an organisation with its own hierarchies, people and devices. These commands need a platform operator's token, as 'pando init' prints it.`
}

// tenantCreate is "pando tenant create".
type tenantCreate struct {
	ID           string `arg:"" help:"Its name, of a-z, 0-9 and inner hyphens. It is never changed and never used again."`
	Organization string `required:"" placeholder:"NAME" help:"The organization that its certificates name."`
	Approvals    string `enum:"default,none" default:"default" help:"default: acts of weight need a security officer besides whoever asks. none: one administrator acts alone. One of ${enum}."`
}

func (tenantCreate) Help() string {
	return `Under the default rules of approval one who asks and one who approves are needed, of whom neither made the other: the first administrator makes a token for a PKI administrator and one for a security officer. 'pando approval rules' lists the rules.

Examples:

    pando tenant create demo --organization "Example Meters"
    pando token create --tenant demo --name "first administrator" --role tenant-administrator
    pando tenant create lab --organization "Laboratory" --approvals none`
}

// Run creates the tenant.
func (t *tenantCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	tenant, err := cl.CreateTenant(ctx, client.NewTenant{ID: t.ID, Organization: t.Organization, Approvals: t.Approvals})
	if err != nil {
		return err
	}
	return c.result(tenant, tenants(*tenant).write)
}

// tenantList is "pando tenant list".
type tenantList struct{}

// Run lists the tenants.
func (tenantList) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Tenants(ctx)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Tenant]{Items: items}, tenants(items...), "", "")
}

// tenantShow is "pando tenant show".
type tenantShow struct {
	ID string `arg:"" help:"The tenant's name."`
}

// Run shows the tenant.
func (t *tenantShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	tenant, err := cl.Tenant(ctx, t.ID)
	if err != nil {
		return err
	}
	return c.result(tenant, tenants(*tenant).write)
}

// tenantSet is "pando tenant set".
type tenantSet struct {
	ID        string `arg:"" help:"The tenant's name."`
	PerSecond int    `name:"requests-per-second" placeholder:"N" help:"Requests to the API in the long run (default: what the deployment's configuration says)."`
	Burst     int    `placeholder:"N" help:"Requests at once; given together with --requests-per-second."`
	Children  *int   `placeholder:"N" help:"How many children it may have (default: 100)."`
}

func (tenantSet) Help() string {
	return `Replaces what is set: a flag that is not given goes back to what the configuration of the deployment says under "limits", and the number of children to 100. The tenant's events tell of it.

Examples:

    pando tenant set demo --requests-per-second 200 --burst 400 --children 5
    pando tenant set demo`
}

// Run sets the limits.
func (t *tenantSet) Run(ctx context.Context, c *console, cl *client.Client) error {
	tenant, err := cl.SetTenant(ctx, t.ID, client.TenantSettings{PerSecond: t.PerSecond, Burst: t.Burst, Children: t.Children})
	if err != nil {
		return err
	}
	return c.result(tenant, tenants(*tenant).write)
}

// tenants prints tenants for people.
func tenants(items ...client.Tenant) *table {
	t := &table{heading: []string{"TENANT", "ORGANIZATION", "CREATED", "APPROVALS", "REQUESTS/S", "BURST", "CHILDREN"}}
	for _, x := range items {
		children := ""
		if x.Settings.Children != nil {
			children = strconv.Itoa(*x.Settings.Children)
		}
		t.add(x.ID, x.Organization, when(x.Created), x.Approvals, orEmpty(x.Settings.PerSecond), orEmpty(x.Settings.Burst), children)
	}
	return t
}

// orEmpty prints a number, and nothing for 0.
func orEmpty(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
