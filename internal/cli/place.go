package cli

import (
	"context"

	"github.com/pando-pki/pando/client"
)

// The commands on product lines and on sites are the same, each of its kind.

// places is a kind of place: how the API is asked for it.
type places interface {
	list(ctx context.Context, cl *client.Client, cursor string, limit int) (*client.List[client.Place], error)
	get(ctx context.Context, cl *client.Client, name string) (*client.Place, error)
	create(ctx context.Context, cl *client.Client, n client.NewPlace) (*client.Place, error)
	change(ctx context.Context, cl *client.Client, name string, ch client.PlaceChange) (*client.Place, error)
	heading() string
	examples() string
}

// lineCommand is "pando product-line".
type lineCommand struct{ placeCommand[productLines] }

func (lineCommand) Help() string {
	return `A product line is a kind of device that is made: its lots, devices and certificates are found by it. Where the registry is not strict, a product line is registered when something is first enrolled in it.`
}

// siteCommand is "pando site".
type siteCommand struct{ placeCommand[sites] }

func (siteCommand) Help() string {
	return `A site is where devices are made or handed out. Where the registry is not strict, a site is registered when something is first enrolled there.`
}

type placeCommand[K places] struct {
	Create placeCreate[K] `cmd:"" help:"Register one."`
	List   placeList[K]   `cmd:"" help:"List them, in order of name."`
	Show   placeShow[K]   `cmd:"" help:"Show one."`
	Update placeUpdate[K] `cmd:"" help:"Describe one anew."`
}

type placeCreate[K places] struct {
	Name        string `arg:"" help:"Its name: at most 128 printable ASCII characters."`
	Description string `placeholder:"TEXT" help:"One line, for people."`
}

func (placeCreate[K]) Help() string {
	var k K
	return "Examples:\n\n" + k.examples()
}

// Run registers the place.
func (p *placeCreate[K]) Run(ctx context.Context, c *console, cl *client.Client) error {
	var k K
	made, err := k.create(ctx, cl, client.NewPlace{Name: p.Name, Description: p.Description})
	if err != nil {
		return err
	}
	return c.result(made, placeTable(k.heading(), *made).write)
}

type placeList[K places] struct {
	Limit  int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Cursor string `placeholder:"TEXT" help:"Go on where an earlier list ended."`
}

// Run lists the places.
func (p *placeList[K]) Run(ctx context.Context, c *console, cl *client.Client) error {
	var k K
	page, err := k.list(ctx, cl, p.Cursor, p.Limit)
	if err != nil {
		return err
	}
	return c.list(page, placeTable(k.heading(), page.Items...), "--cursor", page.Next)
}

type placeShow[K places] struct {
	Name string `arg:"" help:"Its name."`
}

// Run shows the place.
func (p *placeShow[K]) Run(ctx context.Context, c *console, cl *client.Client) error {
	var k K
	got, err := k.get(ctx, cl, p.Name)
	if err != nil {
		return err
	}
	return c.result(got, placeTable(k.heading(), *got).write)
}

type placeUpdate[K places] struct {
	Name        string `arg:"" help:"Its name, which stays."`
	Description string `required:"" empty:"clears" placeholder:"TEXT" help:"One line, for people."`
}

// Run describes the place.
func (p *placeUpdate[K]) Run(ctx context.Context, c *console, cl *client.Client) error {
	var k K
	got, err := k.change(ctx, cl, p.Name, client.PlaceChange{Description: p.Description})
	if err != nil {
		return err
	}
	return c.result(got, placeTable(k.heading(), *got).write)
}

// placeTable prints places for people.
func placeTable(heading string, items ...client.Place) *table {
	t := &table{heading: []string{heading, "DESCRIPTION", "REGISTERED", "BY"}}
	for _, x := range items {
		t.add(x.Name, x.Description, when(x.Created), registrar(x.By))
	}
	return t
}

// registrar says who registered something.
func registrar(by string) string {
	if by == "" {
		return "its first use"
	}
	return by
}

type productLines struct{}

func (productLines) list(ctx context.Context, cl *client.Client, cursor string, limit int) (*client.List[client.Place], error) {
	return cl.ProductLines(ctx, cursor, limit)
}

func (productLines) get(ctx context.Context, cl *client.Client, name string) (*client.Place, error) {
	return cl.ProductLine(ctx, name)
}

func (productLines) create(ctx context.Context, cl *client.Client, n client.NewPlace) (*client.Place, error) {
	return cl.CreateProductLine(ctx, n)
}

func (productLines) change(ctx context.Context, cl *client.Client, name string, ch client.PlaceChange) (*client.Place, error) {
	return cl.ChangeProductLine(ctx, name, ch)
}

func (productLines) heading() string { return "PRODUCT LINE" }

func (productLines) examples() string {
	return `    pando product-line create residential-meter --description "Single-phase meters, 2026"`
}

type sites struct{}

func (sites) list(ctx context.Context, cl *client.Client, cursor string, limit int) (*client.List[client.Place], error) {
	return cl.Sites(ctx, cursor, limit)
}

func (sites) get(ctx context.Context, cl *client.Client, name string) (*client.Place, error) {
	return cl.Site(ctx, name)
}

func (sites) create(ctx context.Context, cl *client.Client, n client.NewPlace) (*client.Place, error) {
	return cl.CreateSite(ctx, n)
}

func (sites) change(ctx context.Context, cl *client.Client, name string, ch client.PlaceChange) (*client.Place, error) {
	return cl.ChangeSite(ctx, name, ch)
}

func (sites) heading() string { return "SITE" }

func (sites) examples() string {
	return `    pando site create plant-1 --description "Line 3, Lyon"`
}
