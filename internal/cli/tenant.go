package cli

import (
	"context"
	"io"

	"github.com/pando-pki/pando/client"
)

// tenantCommand is "pando tenant", for platform operators.
type tenantCommand struct {
	Create tenantCreate `cmd:"" help:"Create a tenant."`
	List   tenantList   `cmd:"" help:"List the tenants."`
	Show   tenantShow   `cmd:"" help:"Show one tenant."`
}

func (tenantCommand) Help() string {
	return `A tenant is an organisation with its own hierarchies, people and devices. These commands need a platform operator's token, as 'pando init' prints it.`
}

// tenantCreate is "pando tenant create".
type tenantCreate struct {
	ID           string `arg:"" help:"Its name, of a-z, 0-9 and inner hyphens. It is never changed and never used again."`
	Organization string `required:"" placeholder:"NAME" help:"The organization that its certificates name."`
}

func (tenantCreate) Help() string {
	return `Examples:

    pando tenant create demo --organization "Example Meters"
    pando token create --tenant demo --name "first administrator" --role tenant-administrator`
}

// Run creates the tenant.
func (t *tenantCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	tenant, err := cl.CreateTenant(ctx, client.NewTenant{ID: t.ID, Organization: t.Organization})
	if err != nil {
		return err
	}
	return c.result(tenant, tenants(*tenant))
}

// tenantList is "pando tenant list".
type tenantList struct{}

// Run lists the tenants.
func (tenantList) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Tenants(ctx)
	if err != nil {
		return err
	}
	return c.result(client.List[client.Tenant]{Items: items}, tenants(items...))
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
	return c.result(tenant, tenants(*tenant))
}

// tenants prints tenants for people.
func tenants(items ...client.Tenant) func(io.Writer) error {
	t := table{heading: []string{"TENANT", "ORGANIZATION", "CREATED"}}
	for _, x := range items {
		t.add(x.ID, x.Organization, when(x.Created))
	}
	return t.write
}
