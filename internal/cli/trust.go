package cli

import (
	"context"
	"io"
	"os"
	"reflect"
	"slices"

	"github.com/pando-pki/pando/client"
)

// trustCommand is "pando trust".
type trustCommand struct {
	Add    trustAdd    `cmd:"" help:"Trust an authority's client certificates."`
	List   trustList   `cmd:"" help:"List the authorities whose client certificates prove somebody."`
	Update trustUpdate `cmd:"" help:"Change where an authority's certificates have their role."`
	Remove trustRemove `cmd:"" help:"End the trust in an authority."`
}

func (trustCommand) Help() string {
	return `On the listener for devices, who asks is proved by a client certificate: from one of the tenant's own authorities, or from another whose certificate is imported. Everybody whom the authority certifies gets the role that is given here, on the scopes that are named.`
}

// trustAdd is "pando trust add".
type trustAdd struct {
	Name        string   `arg:"" help:"Its name here, of a-z, 0-9 and inner hyphens."`
	Authority   string   `xor:"of" required:"" placeholder:"NAME" help:"One of the tenant's own, by name or id."`
	Certificate string   `xor:"of" required:"" placeholder:"FILE" help:"PEM file of another's certificate: a CA's, that may sign certificates."`
	Role        string   `required:"" placeholder:"ROLE" help:"What its certificates allow: factory-operator, auditor, another role that does not administer, or device. A device enrols for itself alone: its id is the serialNumber of the certificate's subject, else the CN."`
	Scope       []string `placeholder:"SCOPE" help:"Where they have the role, as endpoint:meter; may be repeated (default: the whole tenant; a device needs an endpoint)."`
}

func (trustAdd) Help() string {
	return `Examples:

    pando trust add field-devices --authority manufacturing --role device --scope endpoint:operational
    pando trust add plant-brno --certificate plant-ca.pem --role factory-operator --scope endpoint:meter
    curl --cert line3.pem --key line3.key https://pki.example.com:8444/api/v1/whoami`
}

// Run adds the trust.
func (t *trustAdd) Run(ctx context.Context, c *console, cl *client.Client) error {
	n := client.NewTrust{Name: t.Name, Authority: t.Authority, Role: t.Role, Scopes: t.Scope}
	if t.Certificate != "" {
		text, err := os.ReadFile(t.Certificate)
		if err != nil {
			return err
		}
		n.Certificate = string(text)
	}
	added, err := cl.AddTrust(ctx, n)
	if err != nil {
		return err
	}
	return c.result(added, trusts(*added).write)
}

// trustList is "pando trust list".
type trustList struct{}

// Run lists the trusted authorities.
func (trustList) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Trust(ctx)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Trust]{Items: items}, trusts(items...), "", "")
}

// trustUpdate is "pando trust update".
type trustUpdate struct {
	Name  string   `arg:"" help:"Its name, as 'pando trust list' shows it."`
	Scope []string `required:"" placeholder:"SCOPE" help:"Where they have the role from now on, as endpoint:meter; may be repeated."`
}

func (trustUpdate) Help() string {
	return `The scopes that are said take the place of all that were there. The role stays as it is.

Examples:

    pando trust update field-devices --scope endpoint:operational --scope endpoint:spare`
}

// Run changes the scopes.
func (t *trustUpdate) Run(ctx context.Context, c *console, cl *client.Client) error {
	before, err := cl.Trust(ctx)
	if err != nil {
		return err
	}
	changed, err := cl.ChangeTrust(ctx, t.Name, client.TrustChange{Scopes: t.Scope})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(before, func(b client.Trust) bool { return reflect.DeepEqual(b, *changed) }) {
		c.note("%s was so already; nothing has changed", changed.Name)
	}
	return c.result(changed, trusts(*changed).write)
}

// trustRemove is "pando trust remove".
type trustRemove struct {
	Name string `arg:"" help:"Its name, as 'pando trust list' shows it."`
}

// Run ends the trust.
func (t *trustRemove) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := cl.RemoveTrust(ctx, t.Name); err != nil {
		return err
	}
	c.note("certificates of %s prove nobody any more", t.Name)
	return c.result(ended{t.Name, "removed"}, func(io.Writer) error { return nil })
}

func trusts(items ...client.Trust) *table {
	t := &table{heading: []string{"NAME", "GRANTS", "ENDS", "SUBJECT"}}
	for _, x := range items {
		t.add(x.Name, grantsText(x.Grants), when(x.Ends), x.Subject)
	}
	return t
}
