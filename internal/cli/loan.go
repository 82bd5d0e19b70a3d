package cli

import (
	"context"
	"io"

	"github.com/pando-pki/pando/client"
)

// childLend is "pando child lend".
type childLend struct {
	Child     string `arg:"" help:"The child's name."`
	Loan      string `arg:"" help:"Name of the loan, unique within the child."`
	Authority string `required:"" placeholder:"NAME" help:"Name or id of an authority that issues to devices."`
	Profile   string `required:"" placeholder:"NAME" help:"Profile of what it issues, in all its versions."`
	Limit     int64  `required:"" placeholder:"N" help:"How many certificates there may be."`
}

func (childLend) Help() string {
	return `The same loan again, with another limit, changes that. What counts against the limit is as with 'pando quota'.

Examples:

    pando child lend demo-oem meters --authority manufacturing --profile meter --limit 20000`
}

// Run lends.
func (x *childLend) Run(ctx context.Context, c *console, cl *client.Client) error {
	l, err := cl.Lend(ctx, x.Child, x.Loan, client.NewLoan{Authority: x.Authority, Profile: x.Profile, Limit: x.Limit})
	if err != nil {
		return err
	}
	return c.result(l, lent(*l).write)
}

// childLent is "pando child lent".
type childLent struct {
	Child string `arg:"" help:"The child's name."`
}

// Run lists what is lent.
func (x *childLent) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Lent(ctx, x.Child)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Loan]{Items: items}, lent(items...), "", "")
}

// childTakeBack is "pando child take-back".
type childTakeBack struct {
	Child string `arg:"" help:"The child's name."`
	Loan  string `arg:"" help:"Name of the loan."`
}

// Run ends the loan.
func (x *childTakeBack) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := cl.TakeBack(ctx, x.Child, x.Loan); err != nil {
		return err
	}
	c.note("%s issues nothing under %s any more", x.Child, x.Loan)
	return c.result(ended{x.Loan, "taken back"}, func(io.Writer) error { return nil })
}

// loansCommand is "pando loans".
type loansCommand struct{}

func (loansCommand) Help() string {
	return `What the tenant's parent lends to it. 'pando endpoint create --loan' makes an endpoint of one.

Examples:

    pando loans
    pando endpoint create meter --loan meters`
}

// Run lists what was lent to the tenant.
func (loansCommand) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Loans(ctx)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Loan]{Items: items}, lent(items...), "", "")
}

func lent(items ...client.Loan) *table {
	t := &table{heading: []string{"LOAN", "CHILD", "AUTHORITY", "PROFILE", "USED", "LIMIT", "CREATED"}}
	for _, x := range items {
		t.add(x.Name, x.Child, x.Authority, x.Profile, x.Used, x.Limit, when(x.Created))
	}
	return t
}
