package cli

import (
	"context"
	"io"

	"github.com/pando-pki/pando/client"
)

// grantCommand is "pando grant".
type grantCommand struct {
	List   grantList   `cmd:"" help:"List who has which role where."`
	Add    grantAdd    `cmd:"" help:"Give a role on a scope."`
	Remove grantRemove `cmd:"" help:"Take a grant away."`
}

func (grantCommand) Help() string {
	return `A grant gives a role on a scope to a principal: a token (token:ID), or all whom a trusted authority certifies (trust:NAME). Nobody gives more than they have. What is taken away ends within five seconds, streams under way included.`
}

// grantList is "pando grant list".
type grantList struct {
	Principal string `placeholder:"PRINCIPAL" help:"Of this one alone, as token:0d3k2."`
	Role      string `placeholder:"ROLE" help:"Of this role alone."`
}

// Run lists the grants.
func (g *grantList) Run(ctx context.Context, c *console, cl *client.Client) error {
	all, err := cl.Grants(ctx, g.Principal, g.Role)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Grant]{Items: all}, grants(all...), "", "")
}

func grants(all ...client.Grant) *table {
	t := &table{heading: []string{"ID", "PRINCIPAL", "ROLE", "SCOPE", "BY", "CREATED"}}
	for _, g := range all {
		t.add(g.ID, g.Principal, g.Role, g.Scope, g.Actor, when(g.Created))
	}
	return t
}

// grantAdd is "pando grant add".
type grantAdd struct {
	Principal string `arg:"" help:"Who gets it: token:ID, or trust:NAME."`
	Role      string `arg:"" help:"The role, built in or own."`
	Scope     string `placeholder:"SCOPE" default:"tenant" help:"Where, as product-line:pro or authority:manufacturing+site:berlin (default: the whole tenant)."`
}

func (grantAdd) Help() string {
	return `Examples:

    pando grant add token:0d3k2 ra-operator --scope product-line:pro
    pando grant add trust:plant-brno auditor --scope site:brno`
}

// Run gives the role.
func (g *grantAdd) Run(ctx context.Context, c *console, cl *client.Client) error {
	given, err := cl.AddGrant(ctx, client.NewGrant{Principal: g.Principal, Role: g.Role, Scope: g.Scope})
	if err != nil {
		return err
	}
	return c.result(given, grants(*given).write)
}

// grantRemove is "pando grant remove".
type grantRemove struct {
	ID string `arg:"" help:"The grant's id, as 'pando grant list' shows it."`
}

// Run takes the grant away.
func (g *grantRemove) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := cl.RemoveGrant(ctx, g.ID); err != nil {
		return err
	}
	c.note("grant %s is removed", g.ID)
	return c.result(ended{g.ID, "removed"}, func(io.Writer) error { return nil })
}
