package cli

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// roleCommand is "pando role".
type roleCommand struct {
	List   roleList   `cmd:"" help:"List the roles, built in and own."`
	Show   roleShow   `cmd:"" help:"Show what a role includes."`
	Create roleCreate `cmd:"" help:"Create a role of the tenant's own."`
	Change roleChange `cmd:"" help:"Change what an own role includes, for all who have it."`
	Delete roleDelete `cmd:"" help:"Delete an own role that nobody has."`
}

func (roleCommand) Help() string {
	return `A role is a set of permissions. Some are built in; a tenant makes others of its own. Whoever puts a permission into a role has it themselves, on the whole tenant.`
}

// roleList is "pando role list".
type roleList struct{}

// Run lists the roles.
func (roleList) Run(ctx context.Context, c *console, cl *client.Client) error {
	all, err := cl.Roles(ctx)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Role]{Items: all}, roles(all...), "", "")
}

func roles(all ...client.Role) *table {
	t := &table{heading: []string{"NAME", "KIND", "DESCRIPTION", "PERMISSIONS"}}
	for _, r := range all {
		kind := "own"
		if r.BuiltIn {
			kind = "built in"
		}
		t.add(r.Name, kind, r.Description, strings.Join(r.Permissions, " "))
	}
	return t
}

// roleShow is "pando role show".
type roleShow struct {
	Name string `arg:"" help:"The role's name."`
}

// Run shows the role.
func (r *roleShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	all, err := cl.Roles(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(x client.Role) bool { return x.Name == r.Name })
	if i < 0 {
		return hintf(pki.Errorf(pki.NotFound, "no role %q", r.Name), "'pando role list' lists what there is")
	}
	return c.result(all[i], roles(all[i]).write)
}

// roleCreate is "pando role create".
type roleCreate struct {
	Name        string   `arg:"" help:"Its name, of a-z, 0-9 and inner hyphens."`
	Permission  []string `required:"" placeholder:"PERMISSION" help:"What it includes, as certificates.read; may be repeated."`
	Description string   `placeholder:"TEXT" help:"What it is for."`
}

func (roleCreate) Help() string {
	return `Examples:

    pando role create shift-lead --permission batches.read,batches.manage,enroll --description "leads a shift at a plant"
    pando grant add token:0d3k2 shift-lead --scope site:brno`
}

// Run creates the role.
func (r *roleCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	made, err := cl.CreateRole(ctx, client.NewRole{Name: r.Name, RoleChange: client.RoleChange{Description: r.Description, Permissions: r.Permission}})
	if err != nil {
		return err
	}
	return c.result(made, roles(*made).write)
}

// roleChange is "pando role change".
type roleChange struct {
	Name        string   `arg:"" help:"The own role's name."`
	Permission  []string `required:"" placeholder:"PERMISSION" help:"All that it is to include; may be repeated."`
	Description string   `placeholder:"TEXT" help:"What it is for; it replaces the one before, also where it is left out."`
}

func (roleChange) Help() string {
	return `What the role loses, all who have it lose within five seconds.`
}

// Run changes the role.
func (r *roleChange) Run(ctx context.Context, c *console, cl *client.Client) error {
	changed, err := cl.ChangeRole(ctx, r.Name, client.RoleChange{Description: r.Description, Permissions: r.Permission})
	if err != nil {
		return err
	}
	return c.result(changed, roles(*changed).write)
}

// roleDelete is "pando role delete".
type roleDelete struct {
	Name string `arg:"" help:"The own role's name."`
}

// Run deletes the role.
func (r *roleDelete) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := cl.DeleteRole(ctx, r.Name); err != nil {
		return err
	}
	c.note("the role %s is deleted", r.Name)
	return c.result(ended{r.Name, "deleted"}, func(io.Writer) error { return nil })
}
