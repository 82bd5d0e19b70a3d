package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// revocationCommand is "pando revocation".
type revocationCommand struct {
	Start  revocationStart  `cmd:"" help:"Revoke, hold or release many certificates as a job."`
	List   revocationList   `cmd:"" help:"List jobs, newest first."`
	Show   revocationShow   `cmd:"" help:"Show one job with its counts."`
	Counts revocationCounts `cmd:"" help:"Show a job's counts by issuer and CRL shard."`
	Watch  revocationWatch  `cmd:"" help:"Follow a job until it is at rest."`
	Run    revocationRun    `cmd:"" help:"Run a job that a dry run has counted."`
	Pause  revocationPause  `cmd:"" help:"Halt a job; it can be resumed."`
	Resume revocationResume `cmd:"" help:"Let a paused job go on."`
	Cancel revocationCancel `cmd:"" help:"End a job; what was revoked stays revoked."`
}

func (revocationCommand) Help() string {
	return `A job revokes, holds or releases the certificates of a device, a lot, a product line, a batch or an issuer: those that were issued before it was created, and have not expired. It goes on where it was after a restart, and gives each certificate one entry at most. 'pando cert' is for single ones.

Examples:

    pando revocation start --lot 7 --reason certificateHold --wait
    pando revocation start --lot 7 --reason keyCompromise --dry-run --wait
    pando revocation run 0ab3...
    pando revocation watch 0ab3...`
}

// revocationStart is "pando revocation start".
type revocationStart struct {
	Device      string `xor:"selection" placeholder:"ID" help:"The certificates of this device."`
	Lot         string `xor:"selection" placeholder:"NAME" help:"Those that were issued for this lot."`
	ProductLine string `xor:"selection" placeholder:"NAME" help:"Those that were issued for this product line."`
	Batch       string `xor:"selection" placeholder:"ID" help:"Those that this batch got."`
	Issuer      string `xor:"selection" placeholder:"ID" help:"Those of the issuer with this id, as 'pando authority show' shows it."`

	Reason         string `xor:"act" placeholder:"REASON" help:"Why, as RFC 5280, 5.3.1, names it: unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn or aACompromise, for good; certificateHold holds them."`
	Release        bool   `xor:"act" help:"Release those that are on hold."`
	DryRun         bool   `help:"Count what would be done and change nothing; 'pando revocation run' then does it."`
	IdempotencyKey string `placeholder:"TEXT" help:"The same request under the same key is the same job (default: a new key)."`
	Wait           bool   `help:"Follow the job until it is at rest, as 'pando revocation watch' does."`
	Yes            bool   `help:"Do not ask."`
}

func (revocationStart) Help() string {
	return `Name one of --device, --lot, --product-line, --batch and --issuer, and either --reason or --release. A device, a lot and a product line are the tenant's own. Certificates that are revoked for good or have expired are left as they are; what is on hold is left by a hold, and revoked for good by any other reason. A release leaves what a suspended device has, and counts it as suspended: 'pando device resume' releases that. What cannot be undone is asked for, and so is a hold of all that an issuer signed; a dry run, another hold and a release are not. Where the tenant has the rule, a job counts first; one that would change more than a share of the certificates in force stays counted, and 'pando revocation run' asks others to approve it ('pando approval rules').

Examples:

    pando revocation start --lot 7 --reason keyCompromise --dry-run --wait
    pando revocation start --product-line meters-v1 --reason cessationOfOperation --yes
    pando revocation start --lot 7 --release --wait`
}

// Run creates the job.
func (s *revocationStart) Run(ctx context.Context, c *console, cl *client.Client) error {
	chosen := client.RevocationSelection{Device: s.Device, Lot: s.Lot, ProductLine: s.ProductLine, Batch: s.Batch, Issuer: s.Issuer}
	switch {
	case chosen == client.RevocationSelection{}:
		return usagef("say whose certificates: one of --device, --lot, --product-line, --batch and --issuer")
	case s.Reason == "" && !s.Release:
		return usagef("say --reason REASON, or --release")
	}
	n := client.NewRevocationJob{RevocationSelection: chosen, Reason: s.Reason, Release: s.Release, DryRun: s.DryRun}
	if !s.DryRun && !s.Yes {
		what := "All valid certificates of " + selectionOf(&client.RevocationJob{RevocationSelection: chosen})
		if err := confirmRevocation(what, n, "; --dry-run counts them"); err != nil {
			return err
		}
	}
	j, err := cl.StartRevocation(ctx, n, cmp.Or(s.IdempotencyKey, rand.Text())) // so that the client may ask again when an answer is lost
	if err != nil || !s.Wait {
		return showRevocation(c)(j, err)
	}
	c.note("revocation job %s", j.ID)
	return followRevocation(ctx, c, cl, j.ID)
}

// confirmRevocation asks before what cannot be undone, and before a hold of all that an
// issuer signed.
func confirmRevocation(what string, n client.NewRevocationJob, more string) error {
	act := "revoked for good"
	switch {
	case n.Release, n.Reason == "certificateHold" && n.Issuer == "":
		return nil
	case n.Reason == "certificateHold":
		act = "held"
	}
	return confirm(fmt.Sprintf("%s are %s (%s)%s.", what, act, n.Reason, more))
}

// revocationList is "pando revocation list".
type revocationList struct {
	Limit  int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Before string `placeholder:"ID" help:"Go on where an earlier list ended."`
}

// Run lists jobs.
func (l *revocationList) Run(ctx context.Context, c *console, cl *client.Client) error {
	page, err := cl.RevocationJobs(ctx, l.Before, l.Limit)
	if err != nil {
		return err
	}
	t := table{heading: []string{"ID", "STATE", "SELECTION", "ACT", "SEEN", "TO CHANGE", "CHANGED", "CREATED"}}
	for i := range page.Items {
		j := &page.Items[i]
		t.add(j.ID, j.State, selectionOf(j), actOf(j), seenBy(j), j.ToChange, j.Changed, when(j.Created))
	}
	return c.list(page, &t, "--before", page.Next)
}

// revocationID names one job.
type revocationID struct {
	ID string `arg:"" help:"Id of the job."`
}

// advise adds to a refusal for the state of the job what can be done in that state.
func (r *revocationID) advise(err error) error {
	p, ok := errors.AsType[*client.Problem](err)
	if !ok || p.Kind != pki.Conflict.String() {
		return err
	}
	const atEnd = "it is at its end: 'pando revocation start' begins another"
	hints := map[string]string{
		client.Counting:  "'pando revocation watch JOB' waits until it is counted, 'pando revocation cancel JOB' ends it",
		client.Counted:   "'pando revocation run JOB' lets it run, 'pando revocation cancel JOB' ends it",
		client.Running:   "'pando revocation pause JOB' stops it, 'pando revocation cancel JOB' ends it",
		client.Paused:    "'pando revocation resume JOB' lets it go on, 'pando revocation cancel JOB' ends it",
		client.Cancelled: atEnd,
		client.Done:      atEnd,
	}
	for state, hint := range hints {
		if p.Detail == "the revocation job is "+state {
			return hintf(err, "%s", strings.ReplaceAll(hint, "JOB", r.ID))
		}
	}
	return err
}

// revocationShow is "pando revocation show".
type revocationShow struct{ revocationID }

// Run shows the job.
func (s *revocationShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	return showRevocation(c)(cl.RevocationJob(ctx, s.ID))
}

// revocationCounts is "pando revocation counts".
type revocationCounts struct {
	revocationID
	Limit  int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Cursor string `placeholder:"TEXT" help:"Go on where an earlier list ended."`
}

// Run shows the counts.
func (s *revocationCounts) Run(ctx context.Context, c *console, cl *client.Client) error {
	page, err := cl.RevocationCounts(ctx, s.ID, s.Cursor, s.Limit)
	if err != nil {
		return err
	}
	t := table{heading: []string{"ISSUER", "SHARD", "GOOD", "HELD", "SUSPENDED", "REVOKED", "EXPIRED", "TO CHANGE", "CHANGED"}}
	for _, n := range page.Items {
		t.add(n.Issuer, n.Shard, n.Good, n.Held, n.Suspended, n.Revoked, n.Expired, n.ToChange, n.Changed)
	}
	return c.list(page, &t, "--cursor", page.Next)
}

// revocationRun is "pando revocation run".
type revocationRun struct {
	revocationID
	Yes bool `help:"Do not ask."`
}

func (revocationRun) Help() string {
	return `The job takes the certificates that it counted, in the state that they are in by now. After a dry run, what cannot be undone is asked for, and so is a hold of all that an issuer signed.`
}

// Run lets the job run.
func (s *revocationRun) Run(ctx context.Context, c *console, cl *client.Client) error {
	if !s.Yes {
		j, err := cl.RevocationJob(ctx, s.ID)
		if err != nil {
			return err
		}
		if j.DryRun && j.State == client.Counted { // who began another was asked; in another state it does not run
			what := fmt.Sprintf("%d certificates of %s, as counted,", j.ToChange, selectionOf(j))
			if err := confirmRevocation(what, client.NewRevocationJob{RevocationSelection: j.RevocationSelection, Reason: j.Reason, Release: j.Release}, ""); err != nil {
				return err
			}
		}
	}
	j, err := cl.RunRevocation(ctx, s.ID)
	return showRevocation(c)(j, s.advise(err))
}

// revocationPause is "pando revocation pause".
type revocationPause struct{ revocationID }

// Run pauses the job.
func (s *revocationPause) Run(ctx context.Context, c *console, cl *client.Client) error {
	j, err := cl.PauseRevocation(ctx, s.ID)
	return showRevocation(c)(j, s.advise(err))
}

// revocationResume is "pando revocation resume".
type revocationResume struct{ revocationID }

// Run lets the job go on.
func (s *revocationResume) Run(ctx context.Context, c *console, cl *client.Client) error {
	j, err := cl.ResumeRevocation(ctx, s.ID)
	return showRevocation(c)(j, s.advise(err))
}

// revocationCancel is "pando revocation cancel".
type revocationCancel struct{ revocationID }

// Run cancels the job.
func (s *revocationCancel) Run(ctx context.Context, c *console, cl *client.Client) error {
	j, err := cl.CancelRevocation(ctx, s.ID)
	return showRevocation(c)(j, s.advise(err))
}

// revocationWatch is "pando revocation watch".
type revocationWatch struct{ revocationID }

func (revocationWatch) Help() string {
	return `Shows progress until the job is counted, paused, cancelled or done. The exit status is 1 where it was cancelled. Interrupting this does not stop the job.`
}

// Run follows the job.
func (s *revocationWatch) Run(ctx context.Context, c *console, cl *client.Client) error {
	return followRevocation(ctx, c, cl, s.ID)
}

// followRevocation shows progress until the job is at rest, and prints it so.
func followRevocation(ctx context.Context, c *console, cl *client.Client, id string) error {
	p := newProgress(c)
	defer p.end()
	var last *client.RevocationJob
	for j, err := range cl.WatchRevocation(ctx, id) {
		if err != nil {
			return brokeOff(err, "the job does not depend on this command: 'pando revocation watch %s' takes it up again", id)
		}
		atRest := j.State != client.Counting && j.State != client.Running
		p.show(step{stage: j.State, unit: "certificate", done: seenBy(j), total: j.Total, rate: j.Rate, rest: atRest})
		last = j
	}
	p.end()
	if last == nil {
		return showRevocation(c)(cl.RevocationJob(ctx, id))
	}
	if err := showRevocation(c)(last, nil); err != nil {
		return err
	}
	if last.State == client.Counted && !last.DryRun {
		c.note("it changes more certificates than one alone may: 'pando revocation run %s' asks for approval", last.ID)
	}
	if last.State == client.Cancelled {
		return errSilent
	}
	return nil
}

// showRevocation returns a function that prints the answer of an operation on a
// job.
func showRevocation(c *console) func(*client.RevocationJob, error) error {
	return func(j *client.RevocationJob, err error) error {
		if err != nil {
			return err
		}
		return c.result(j, func(w io.Writer) error {
			t := table{}
			t.add("job", j.ID)
			t.add("state", j.State)
			t.add("selection", selectionOf(j))
			t.add("act", actOf(j))
			if j.Total > 0 {
				t.add("certificates", j.Total)
			}
			t.add("seen", seenBy(j))
			t.add("good", j.Good)
			t.add("held", j.Held)
			if j.Release {
				t.add("suspended", j.Suspended)
			}
			t.add("revoked before", j.Revoked)
			t.add("expired", j.Expired)
			addChanged(&t, j)
			t.add("created", when(j.Created)+" by "+j.By)
			if !j.Finished.IsZero() && !j.Started.IsZero() {
				t.add("finished", when(j.Finished)+" after "+j.Finished.Sub(j.Started).Round(time.Millisecond).String())
			}
			return t.write(w)
		})
	}
}

func selectionOf(j *client.RevocationJob) string {
	for _, s := range []struct{ by, name string }{
		{"device", j.Device}, {"lot", j.Lot}, {"product line", j.ProductLine}, {"batch", j.Batch}, {"issuer", j.Issuer},
	} {
		if s.name != "" {
			return fmt.Sprintf("%s %s", s.by, s.name)
		}
	}
	return ""
}

// addChanged says how many certificates a job changed, or, of one that never ran, would
// change.
func addChanged(t *table, j *client.RevocationJob) {
	if j.Started.IsZero() {
		t.add("to change", j.ToChange)
		return
	}
	t.add("changed", j.Changed)
}

func actOf(j *client.RevocationJob) string {
	if j.Release {
		return "release"
	}
	return j.Reason
}

func seenBy(j *client.RevocationJob) int64 {
	return j.Good + j.Held + j.Suspended + j.Revoked + j.Expired
}
