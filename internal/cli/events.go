package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
)

// eventsCommand is "pando events".
type eventsCommand struct {
	Target string `placeholder:"TEXT" help:"Only acts on this, as batch:0ab3 or authority:0ab3."`
	Actor  string `placeholder:"TEXT" help:"Only what this one did, as token:0ab3; 'pando token list' has the ids."`
	Action string `placeholder:"TEXT" help:"Only this act, as batch.pause, or all that begin with it and a dot, as batch."`
	Limit  int    `default:"100" help:"At most so many (default: ${default})."`
	Before string `placeholder:"ID" help:"Go on where an earlier list ended."`
	Follow bool   `help:"Show those that come too, until interrupted; oldest first."`
}

func (eventsCommand) Help() string {
	return `Lists the administrative acts of the token's own tenant, newest first: who did what to what, and when. Each is an entry of the audit log too: 'pando audit prove --event ID' proves it, and 'pando audit export' has all of them, with the certificates, for an auditor.

With --follow and --json each event is one line of JSON.

Examples:

    pando events
    pando events --target batch:0ab3...
    pando events --action authority --limit 20
    pando events --actor token:0ab3... --json
    pando events --follow`
}

// Run lists the events.
func (e *eventsCommand) Run(ctx context.Context, c *console, cl *client.Client) error {
	if e.Follow {
		return e.follow(ctx, c, cl)
	}
	all, next, err := e.list(ctx, cl, e.Before, e.Limit)
	if err != nil {
		return err
	}
	t := table{heading: []string{"ID", "AT", "ACTOR", "ACTION", "TARGET", "DETAIL"}}
	for _, x := range all {
		t.add(x.ID, when(x.At), x.Actor, x.Action, x.Target, x.Detail)
	}
	return c.list(client.List[client.Event]{Items: all, Next: next}, &t, "--before", next)
}

// list returns up to limit events, newest first. The server looks at a bounded number
// at once, so that a page may have fewer and not be the last.
func (e *eventsCommand) list(ctx context.Context, cl *client.Client, before string, limit int) (all []client.Event, next string, err error) {
	all = []client.Event{}
	for next = before; len(all) < limit; {
		page, err := cl.Events(ctx, client.EventFilter{Target: e.Target, Actor: e.Actor, Action: e.Action}, next, min(limit-len(all), 1000))
		if err != nil {
			return nil, "", err
		}
		all = append(all, page.Items...)
		if next = page.Next; next == "" {
			break
		}
	}
	return all, next, nil
}

const (
	// followEvery is how often follow asks, and followPage for how many. Events that come
	// together may come in any order, so it remembers which of so many it has seen.
	followEvery = time.Second
	followPage  = 100
)

// follow shows the newest events and then each that comes, until ctx ends.
func (e *eventsCommand) follow(ctx context.Context, c *console, cl *client.Client) error {
	if e.Before != "" {
		return usagef("--follow goes on from now, and --before back from then: choose one")
	}
	var known map[string]bool // nil at first
	for {
		came, seen, err := e.since(ctx, cl, known)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if known == nil {
			came = came[:min(e.Limit, len(came))]
		}
		for _, x := range slices.Backward(came) {
			if err := e.show(c, x); err != nil {
				return err
			}
		}
		known = seen
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// since returns the events that are not known, newest first, and the ids of all that
// it saw.
func (e *eventsCommand) since(ctx context.Context, cl *client.Client, known map[string]bool) (came []client.Event, seen map[string]bool, err error) {
	seen = make(map[string]bool)
	for before := ""; ; {
		page, err := cl.Events(ctx, client.EventFilter{Target: e.Target, Actor: e.Actor, Action: e.Action}, before, followPage)
		if err != nil {
			return nil, nil, err
		}
		met := len(page.Items) < followPage || known == nil
		for _, x := range page.Items {
			seen[x.ID] = true
			if known[x.ID] {
				met = true
			} else {
				came = append(came, x)
			}
		}
		if before = page.Next; met || before == "" {
			return came, seen, nil
		}
	}
}

// show prints one event in a line.
func (e *eventsCommand) show(c *console, x client.Event) error {
	if c.json {
		line, err := json.Marshal(x)
		if err != nil {
			return err
		}
		_, err = c.out.Write(append(line, '\n'))
		return err
	}
	_, err := fmt.Fprintln(c.out, strings.TrimRight(strings.Join([]string{when(x.At), x.Actor, x.Action, x.Target, x.Detail}, "  "), " "))
	return err
}
