package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/pando-pki/pando/client"
)

// registryCommand is "pando registry".
type registryCommand struct {
	Show   registryShow   `cmd:"" help:"Show how the registry takes new names."`
	Update registryUpdate `cmd:"" help:"Change how the registry takes new names."`
}

func (registryCommand) Help() string {
	return `A product line, lot or site that is named for the first time is registered by that, unless the registry is strict: then it is refused, so that a misspelt lot is not a new one.`
}

// registryShow is "pando registry show".
type registryShow struct{}

// Run shows the setting.
func (registryShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	return showRegistry(c)(cl.Registry(ctx))
}

// registryUpdate is "pando registry update".
type registryUpdate struct {
	Strict bool `required:"" negatable:"" help:"Names must be registered before their first use."`
}

func (registryUpdate) Help() string {
	return `Examples:

    pando registry update --strict
    pando registry update --no-strict`
}

// Run changes the setting.
func (r *registryUpdate) Run(ctx context.Context, c *console, cl *client.Client) error {
	return showRegistry(c)(cl.ChangeRegistry(ctx, client.Registry{Strict: r.Strict}))
}

// showRegistry returns a function that prints the setting.
func showRegistry(c *console) func(*client.Registry, error) error {
	return func(r *client.Registry, err error) error {
		if err != nil {
			return err
		}
		return c.result(r, func(w io.Writer) error {
			how := "registered by their first use"
			if r.Strict {
				how = "refused until they are registered"
			}
			_, err := fmt.Fprintf(w, "strict  %t: new product lines, lots and sites are %s\n", r.Strict, how)
			return err
		})
	}
}
