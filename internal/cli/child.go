package cli

import (
	"context"
	"time"

	"github.com/pando-pki/pando/client"
)

// childCommand is "pando child".
type childCommand struct {
	Create   childCreate   `cmd:"" help:"Create a child tenant."`
	List     childList     `cmd:"" help:"List the child tenants."`
	Appoint  childAppoint  `cmd:"" help:"Make a token for a child's administrator."`
	Suspend  childSuspend  `cmd:"" help:"Have nobody of a child be heard, and nothing be issued to it."`
	Resume   childResume   `cmd:"" help:"End a suspension."`
	Lend     childLend     `cmd:"" help:"Lend an authority with a profile to a child, or change the limit."`
	Lent     childLent     `cmd:"" help:"List what is lent to a child."`
	TakeBack childTakeBack `cmd:"" help:"End a loan."`
}

func (childCommand) Help() string {
	return `A child tenant is a partner's corner: its own people, endpoints, devices, registry and log, which its parent does not see into. It issues from what its parent lends: an authority with a profile, for a number of certificates. 'pando loans' lists that in the child.

Examples:

    pando child create demo-oem --organization "Example OEM"
    pando child appoint demo-oem --name "first administrator"
    pando child lend demo-oem meters --authority manufacturing --profile meter --limit 20000`
}

// childCreate is "pando child create".
type childCreate struct {
	ID           string `arg:"" help:"Its name, of a-z, 0-9 and inner hyphens, which begins with the parent's and a hyphen. It is never changed and never used again."`
	Organization string `required:"" placeholder:"NAME" help:"The organization that its certificates name."`
}

// Run creates the child.
func (x *childCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	made, err := cl.CreateChild(ctx, client.NewChild{ID: x.ID, Organization: x.Organization})
	if err != nil {
		return err
	}
	return c.result(made, children(*made).write)
}

// childList is "pando child list".
type childList struct{}

// Run lists the children.
func (childList) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Children(ctx)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Child]{Items: items}, children(items...), "", "")
}

// childAppoint is "pando child appoint".
type childAppoint struct {
	Child string        `arg:"" help:"The child's name."`
	Name  string        `required:"" placeholder:"TEXT" help:"Whose it is, for people to read."`
	Life  time.Duration `default:"2160h" help:"How long it lives (default: 90 days)."`
}

// Run makes the token.
func (x *childAppoint) Run(ctx context.Context, c *console, cl *client.Client) error {
	made, err := cl.Appoint(ctx, x.Child, client.Appointment{Name: x.Name, LifeSeconds: int64(x.Life / time.Second)})
	if err != nil {
		return err
	}
	return c.showToken(made)
}

// childSuspend is "pando child suspend".
type childSuspend struct {
	Child string `arg:"" help:"The child's name."`
	Yes   bool   `help:"Do not ask."`
}

func (childSuspend) Help() string {
	return `Its tokens and client certificates prove nobody until it is resumed, and rows of its running batches are refused. OCSP and CRLs go on.

Examples:

    pando child suspend demo-oem`
}

// Run suspends the child.
func (x *childSuspend) Run(ctx context.Context, c *console, cl *client.Client) error {
	if !x.Yes {
		if err := confirm("Nobody of " + x.Child + " is heard, and nothing is issued to it, until it is resumed."); err != nil {
			return err
		}
	}
	made, err := cl.SuspendChild(ctx, x.Child)
	if err != nil {
		return err
	}
	return c.result(made, children(*made).write)
}

// childResume is "pando child resume".
type childResume struct {
	Child string `arg:"" help:"The child's name."`
}

// Run resumes the child.
func (x *childResume) Run(ctx context.Context, c *console, cl *client.Client) error {
	made, err := cl.ResumeChild(ctx, x.Child)
	if err != nil {
		return err
	}
	return c.result(made, children(*made).write)
}

func children(items ...client.Child) *table {
	t := &table{heading: []string{"CHILD", "ORGANIZATION", "STATE", "CREATED"}}
	for _, x := range items {
		state := "active"
		if x.Suspended {
			state = "suspended"
		}
		t.add(x.ID, x.Organization, state, when(x.Created))
	}
	return t
}
