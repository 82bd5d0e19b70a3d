package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// archiveCommand is "pando archive".
type archiveCommand struct {
	Set    archiveSet    `cmd:"" help:"Set how long expired certificates stay in the store."`
	Status archiveStatus `cmd:"" help:"Show how long they stay, and what is being archived."`
	Run    archiveRun    `cmd:"" help:"Archive now what is due, or count it."`
	List   archiveList   `cmd:"" help:"List archives, newest first."`
	Show   archiveShow   `cmd:"" help:"Show one archive."`
	Verify archiveVerify `cmd:"" help:"Check an archive's object offline."`
}

func (archiveCommand) Help() string {
	return `Certificates stay in the store for good, unless the tenant sets for how long after their end. Then those that have had their time are written to objects in the archives' place, in the background, each object is recorded in the tenant's log and read back, and only then are its certificates taken out of the store. OCSP goes on saying of them what it said. Nothing is brought back.

Examples:

    pando archive set 730d
    pando archive run --dry-run
    pando archive run --wait 10m
    pando archive list`
}

// archiveSet is "pando archive set".
type archiveSet struct {
	Keep string `arg:"" help:"For how long after its end a certificate stays, as 730d or 36h; for-good keeps them all."`
	Yes  bool   `help:"Do not ask."`
}

func (archiveSet) Help() string {
	return `The tenant's events tell of the change, with before and after. What has been archived stays so: where less than a day is set, it asks.

Examples:

    pando archive set 730d
    pando archive set for-good`
}

// Run sets it.
func (a *archiveSet) Run(ctx context.Context, c *console, cl *client.Client) error {
	keep, err := parseKeep(a.Keep)
	if err != nil {
		return err
	}
	if keep > 0 && keep < 24*time.Hour && !a.Yes {
		err := confirm(fmt.Sprintf("Certificates leave the store, for good, %s after their end; what anybody still asks of them is in the archives alone.", pki.FormatDuration(keep)))
		if err != nil {
			return err
		}
	}
	r, err := cl.SetRetention(ctx, keep)
	if err != nil {
		return err
	}
	return c.result(r, retained(r))
}

const forGood = "for-good"

// parseKeep reads a duration; 0 is for good.
func parseKeep(text string) (time.Duration, error) {
	if text == forGood {
		return 0, nil
	}
	keep, err := pki.ParseDuration(text)
	if err != nil || keep < time.Second || keep%time.Second != 0 {
		return 0, usagef("%q: write a time of whole seconds, as 730d or 36h, or %s", text, forGood)
	}
	return keep, nil
}

// keepWords is the reverse of parseKeep.
func keepWords(seconds int64) string {
	if seconds == 0 {
		return "for good"
	}
	return pki.FormatDuration(time.Duration(seconds) * time.Second)
}

// retained prints a setting for people.
func retained(r *client.Retention) func(io.Writer) error {
	t := table{}
	t.add("expired certificates stay", keepWords(r.KeepSeconds))
	t.add("archives are in", "a "+r.Place)
	t.add("archiving", r.Round.State)
	if r.Round.State != "none" {
		t.add("begun", when(r.Round.Started))
		t.add("looked at", fmt.Sprintf("%d of %s", r.Round.Scanned, pki.Count(r.Round.Rows, "row")))
		t.add("archives", r.Round.Archives)
		t.add("certificates taken out", r.Round.Certificates)
	}
	if r.Round.Error != "" {
		t.add("error", r.Round.Error)
	}
	return t.write
}

// archiveStatus is "pando archive status".
type archiveStatus struct{}

// Run shows it.
func (archiveStatus) Run(ctx context.Context, c *console, cl *client.Client) error {
	r, err := cl.Retention(ctx)
	if err != nil {
		return err
	}
	return c.result(r, retained(r))
}

// archiveRun is "pando archive run".
type archiveRun struct {
	DryRun bool          `help:"Only count."`
	Wait   time.Duration `default:"0s" help:"Wait so long, as 10m, for the end of the work, and show what was done (default: not at all)."`
}

func (archiveRun) Help() string {
	return `It is done in the background and each hour by itself; this has it done at once. It goes on after a restart of the server. The exit status is 1 where it failed, or did not end in the time to wait.

Examples:

    pando archive run --dry-run --json
    pando archive run --wait 10m`
}

// Run has a round begin.
func (a *archiveRun) Run(ctx context.Context, c *console, cl *client.Client) error {
	before, err := cl.Retention(ctx)
	if err != nil {
		return err
	}
	due, err := cl.RunRetention(ctx, a.DryRun)
	if err != nil {
		return err
	}
	if a.DryRun || a.Wait == 0 {
		t := table{}
		t.add("to be archived, at most", pki.Count(due.Expired-due.InOpenLots-due.Unanchored, "certificate"))
		t.add("expired", due.Expired)
		t.add("of them in open lots, which stay", due.InOpenLots)
		t.add("of them not anchored yet, which wait", due.Unanchored)
		return c.result(due, t.write)
	}
	waiting, cancel := context.WithTimeout(ctx, a.Wait)
	defer cancel()
	for {
		r, err := cl.Retention(ctx)
		if err != nil {
			return err
		}
		over := r.Round.State != "running" && r.Round.Started.After(before.Round.Started)
		if !over && waiting.Err() == nil {
			select {
			case <-waiting.Done():
			case <-time.After(200 * time.Millisecond):
			}
			continue
		}
		if err := c.result(r, retained(r)); err != nil {
			return err
		}
		if !over || r.Round.State == "failed" {
			return errSilent
		}
		return nil
	}
}

// archiveList is "pando archive list".
type archiveList struct {
	Limit  int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Before string `placeholder:"ID" help:"Go on where an earlier list ended."`
}

// Run lists archives.
func (a *archiveList) Run(ctx context.Context, c *console, cl *client.Client) error {
	page, err := cl.Archives(ctx, a.Before, a.Limit)
	if err != nil {
		return err
	}
	t := table{heading: []string{"ID", "STATE", "CERTIFICATES", "REMOVED", "CREATED", "OBJECT"}}
	for _, x := range page.Items {
		t.add(x.ID, x.State, x.Certificates, x.Removed, when(x.Created), x.Object)
	}
	return c.list(page, &t, "--before", page.Next)
}

// archiveShow is "pando archive show".
type archiveShow struct {
	ID string `arg:"" help:"Id of the archive."`
}

// Run shows the archive.
func (a *archiveShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	x, err := cl.Archive(ctx, a.ID)
	if err != nil {
		return err
	}
	t := table{}
	t.add("archive", x.ID)
	t.add("state", x.State)
	t.add("created", when(x.Created))
	t.add("expired before", when(x.Before))
	if x.Object != "" {
		t.add("object", x.Object)
		t.add("SHA-256", x.SHA256)
		t.add("bytes", x.Size)
		t.add("certificates", fmt.Sprintf("%d, %d of them out of the store", x.Certificates, x.Removed))
		t.add("serial numbers", x.FirstSerial+" to "+x.LastSerial)
		t.add("places in the log", fmt.Sprintf("%d to %d", x.FirstIndex, x.LastIndex))
	}
	return c.result(x, t.write)
}
