package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// lotCommand is "pando lot".
type lotCommand struct {
	Create lotCreate `cmd:"" help:"Register a lot."`
	List   lotList   `cmd:"" help:"List the lots, in order of name."`
	Show   lotShow   `cmd:"" help:"Show one lot, with how many devices were issued, refused and scrapped."`
	Update lotUpdate `cmd:"" help:"Change an open lot."`
	Close  lotClose  `cmd:"" help:"Close a lot and get its signed report."`
	Report lotReport `cmd:"" help:"Get and check signed reports of closed lots."`
}

func (lotCommand) Help() string {
	return `A lot is devices that are made together, for a work order for instance. It belongs to a product line and, where that is known, a site: what is enrolled in the lot and says neither gets them from it. Where the registry is not strict, a lot is registered when something is first enrolled in it.`
}

// lotFlags are what is said of a lot.
type lotFlags struct {
	ProductLine *string `placeholder:"NAME" help:"Its product line."`
	Site        *string `placeholder:"NAME" help:"Where it is made."`
	Ordered     *int64  `placeholder:"N" help:"How many devices are ordered."`
}

// lotCreate is "pando lot create".
type lotCreate struct {
	Name string `arg:"" help:"Its name: at most 128 printable ASCII characters."`
	lotFlags
}

func (lotCreate) Help() string {
	return `Examples:

    pando lot create lot-7 --product-line residential-meter --site plant-1 --ordered 100000`
}

// Run registers the lot.
func (l *lotCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	made, err := cl.CreateLot(ctx, client.NewLot{Name: l.Name, ProductLine: orZero(l.ProductLine), Site: orZero(l.Site), Ordered: orZero(l.Ordered)})
	if kindOf(err) == pki.Conflict.String() {
		return hintf(err, "'pando lot update' changes what is said of an open lot")
	}
	if err != nil {
		return err
	}
	return c.result(made, lots(*made).write)
}

// orZero returns what p points to, or nothing.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// lotList is "pando lot list".
type lotList struct {
	ProductLine string `placeholder:"NAME" help:"Only this product line's."`
	Site        string `placeholder:"NAME" help:"Only this site's."`
	State       string `enum:",open,closed" default:"" placeholder:"STATE" help:"Only those that are open or closed."`
	Limit       int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Cursor      string `placeholder:"TEXT" help:"Go on where an earlier list ended."`
}

// Run lists lots.
func (l *lotList) Run(ctx context.Context, c *console, cl *client.Client) error {
	page, err := cl.Lots(ctx, client.LotFilter{ProductLine: l.ProductLine, Site: l.Site, State: l.State}, l.Cursor, l.Limit)
	if err != nil {
		return err
	}
	return c.list(page, lots(page.Items...), "--cursor", page.Next)
}

// lotShow is "pando lot show".
type lotShow struct {
	Name string `arg:"" help:"Name of the lot."`
}

func (lotShow) Help() string {
	return `Counts devices as the report of a closed lot does: issued, with a certificate of the lot; refused, in a batch row that was not retried; scrapped, decommissioned since; open, what is missing of the ordered ones. Of a lot with more than 200,000 certificates it says "at least".

Examples:

    pando lot show lot-7
    pando lot show lot-7 --json | jq .counts`
}

// Run shows the lot.
func (l *lotShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Lot(ctx, l.Name)
	if err != nil {
		return err
	}
	return c.result(got, lotFacts(got))
}

// lotFacts prints a lot with its counts for people.
func lotFacts(l *client.Lot) func(io.Writer) error {
	t := table{}
	t.add("lot", l.Name)
	t.add("state", l.State)
	t.add("product line", l.ProductLine)
	t.add("site", l.Site)
	t.add("registered", when(l.Created)+" by "+registrar(l.By))
	if !l.Closed.IsZero() {
		t.add("closed", when(l.Closed))
	}
	ordered := any("not said")
	if l.Ordered > 0 {
		ordered = l.Ordered
	}
	t.add("ordered", ordered)
	if n := l.Counts; n != nil {
		least, most := "", ""
		if n.AtLeast {
			least, most = "at least ", "at most "
		}
		t.add("issued", fmt.Sprintf("%s%d", least, n.Issued))
		t.add("refused", fmt.Sprintf("%s%d", least, n.Refused))
		t.add("scrapped", fmt.Sprintf("%s%d", least, n.Scrapped))
		if l.Ordered > 0 {
			t.add("open", fmt.Sprintf("%s%d", most, n.Open))
		}
	}
	return t.write
}

// lotUpdate is "pando lot update".
type lotUpdate struct {
	Name string `arg:"" help:"Name of the lot."`
	lotFlags
}

func (lotUpdate) Help() string {
	return `What is not said stays as it is. Certificates that were issued keep the place that they were issued in.

Examples:

    pando lot update lot-7 --ordered 120000`
}

// Run changes the lot.
func (l *lotUpdate) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.ChangeLot(ctx, l.Name, client.LotChange{ProductLine: l.ProductLine, Site: l.Site, Ordered: l.Ordered})
	if err != nil {
		return err
	}
	return c.result(got, lots(*got).write)
}

// lots prints lots for people.
func lots(items ...client.Lot) *table {
	t := &table{heading: []string{"LOT", "STATE", "PRODUCT LINE", "SITE", "ORDERED", "REGISTERED", "BY"}}
	for _, x := range items {
		ordered := any("")
		if x.Ordered > 0 {
			ordered = x.Ordered
		}
		t.add(x.Name, x.State, x.ProductLine, x.Site, ordered, when(x.Created), registrar(x.By))
	}
	return t
}
