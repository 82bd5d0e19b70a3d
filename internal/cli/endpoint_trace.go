package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
)

// endpointTrace is "pando endpoint trace".
type endpointTrace struct {
	Endpoint string `arg:"" help:"Name of the endpoint."`
	NoFollow bool   `help:"Show what came lately, and end."`
}

func (endpointTrace) Help() string {
	return `Shows the last requests for single certificates that came to an endpoint, and then each that comes, until interrupted: when, by which protocol, from where, who was proved, for which device (claimed, where nobody was proved), and what became of it. Of a refusal it says which rule refused it, also where the device is not told. It is in the memory of the node that answers, with the last 200 of an endpoint; 'pando cert list' and 'pando events' are the record.

With --json each request is one line of JSON.

Examples:

    pando endpoint trace device
    pando endpoint trace device --no-follow --json`
}

// Run shows what comes.
func (e *endpointTrace) Run(ctx context.Context, c *console, cl *client.Client) error {
	if !e.NoFollow && !c.json {
		c.note("what came lately, and then what comes, until interrupted; --no-follow ends before that")
	}
	for v, err := range cl.TraceEndpoint(ctx, e.Endpoint, !e.NoFollow) {
		if err == nil {
			err = e.show(c, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// show prints one request in a line.
func (e *endpointTrace) show(c *console, v *client.Visit) error {
	if c.json {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "%s\n", line)
		return err
	}
	what := v.Outcome
	switch {
	case v.Serial != "":
		what += " " + v.Serial
	case v.Kind != "":
		what += " " + v.Kind
	}
	device := cmp.Or(v.Device, "-")
	if v.Device != "" && v.Who == "" {
		device += " (claimed)"
	}
	_, err := fmt.Fprintf(c.out, "%s  %s  from %s  %s  device %s  %s  %s\n", v.At.UTC().Format(time.RFC3339), cmp.Or(v.Protocol, "-"), cmp.Or(v.Source, "-"),
		cmp.Or(v.Who, "nobody"), device, what, v.Why)
	return err
}
