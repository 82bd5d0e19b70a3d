package cli

import (
	"context"
	"io"
	"time"

	"github.com/pando-pki/pando/client"
)

// clockCommand is "pando clock", for platform operators.
type clockCommand struct {
	Show   clockShow   `cmd:"" help:"Show a node's clock, and what it should say."`
	Accept clockAccept `cmd:"" help:"Accept a node's clock as it is, after a real jump."`
}

func (clockCommand) Help() string {
	return `A node whose clock is more than a minute off issues nothing until it is right again. Its clock is compared with the newest time that any node committed at, and with a clock that nobody sets. These commands are about the node that --server names, and need a platform operator's token.`
}

// clockShow is "pando clock show".
type clockShow struct{}

func (clockShow) Help() string {
	return `Examples:

    pando clock show --server https://pki-2.example.com:8443`
}

// Run shows the clock.
func (clockShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	clock, err := cl.Clock(ctx)
	if err != nil {
		return err
	}
	return c.result(clock, clockTable(clock))
}

// clockAccept is "pando clock accept".
type clockAccept struct{}

func (clockAccept) Help() string {
	return `For a clock that is right now and was wrong before: set the machine's clock first. The act stands in the platform's events. Other nodes, and those of before that were committed with a later time, are not touched.

Examples:

    pando clock accept --server https://pki-2.example.com:8443`
}

// Run accepts the clock.
func (clockAccept) Run(ctx context.Context, c *console, cl *client.Client) error {
	clock, err := cl.AcceptClock(ctx)
	if err != nil {
		return err
	}
	c.note("the clock of node %s is accepted: it issues again", clock.Node)
	return c.result(clock, clockTable(clock))
}

func clockTable(clock *client.Clock) func(io.Writer) error {
	t := table{}
	t.add("node", clock.Node)
	t.add("now", when(clock.Now))
	t.add("off by", clock.Now.Sub(clock.Expected).Round(time.Second))
	t.add("newest commit", when(clock.Stored))
	t.add("problem", clock.Problem)
	return t.write
}
