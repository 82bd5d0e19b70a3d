package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// batchCommand is "pando batch".
type batchCommand struct {
	Submit  batchSubmit  `cmd:"" help:"Submit a file of CSRs as a new batch."`
	List    batchList    `cmd:"" help:"List batches, newest first."`
	Show    batchShow    `cmd:"" help:"Show one batch with its counts."`
	Watch   batchWatch   `cmd:"" help:"Follow a batch until it is at rest."`
	Issue   batchIssue   `cmd:"" help:"Start a batch that a dry run has checked."`
	Pause   batchPause   `cmd:"" help:"Halt a batch; what is being signed is finished."`
	Resume  batchResume  `cmd:"" help:"Let a paused batch go on."`
	Retry   batchRetry   `cmd:"" help:"Try refused rows again, in a new batch."`
	Cancel  batchCancel  `cmd:"" help:"End a batch; what was issued stays issued."`
	Results batchResults `cmd:"" help:"Fetch what became of each row."`
}

func (batchCommand) Help() string {
	return `A batch is a manufacturing job: a file of CSRs under one endpoint. Every row ends as issued, refused (with a reason) or cancelled.

Examples:

    pando batch submit lot-7.pem --endpoint meter --dry-run --wait
    pando batch issue 0ab3...
    pando batch watch 0ab3...
    pando batch results 0ab3... --out lot-7.ndjson`
}

// batchList is "pando batch list".
type batchList struct {
	Limit  int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Before string `placeholder:"ID" help:"Go on where an earlier list ended."`
}

// Run lists batches.
func (l *batchList) Run(ctx context.Context, c *console, cl *client.Client) error {
	page, err := cl.Batches(ctx, l.Before, l.Limit)
	if err != nil {
		return err
	}
	t := table{heading: []string{"ID", "STATE", "ENDPOINT", "ROWS", "ISSUED", "REFUSED", "LOT", "CREATED"}}
	for _, b := range page.Items {
		t.add(b.ID, b.State, b.Endpoint, b.Rows, b.Issued, b.Refused, b.Lot, when(b.Created))
	}
	return c.list(page, &t, "--before", page.Next)
}

// batchID names one batch.
type batchID struct {
	ID string `arg:"" help:"Id of the batch."`
}

// batchShow is "pando batch show".
type batchShow struct{ batchID }

// Run shows the batch.
func (s *batchShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	return showBatch(c)(cl.Batch(ctx, s.ID))
}

// batchIssue is "pando batch issue".
type batchIssue struct {
	batchID
	waiting
}

func (batchIssue) Help() string {
	return `Examples:

    pando batch issue 0ab3...
    pando batch issue 0ab3... --results lot-7.ndjson`
}

// Run starts the batch.
func (s *batchIssue) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := refuseExisting(s.Results); err != nil {
		return err
	}
	b, err := cl.IssueBatch(ctx, s.ID)
	if err != nil {
		return err
	}
	return s.follow(ctx, c, cl, b)
}

// batchPause is "pando batch pause".
type batchPause struct{ batchID }

// Run pauses the batch.
func (s *batchPause) Run(ctx context.Context, c *console, cl *client.Client) error {
	return showBatch(c)(cl.PauseBatch(ctx, s.ID))
}

// batchResume is "pando batch resume".
type batchResume struct{ batchID }

// Run lets the batch go on.
func (s *batchResume) Run(ctx context.Context, c *console, cl *client.Client) error {
	return showBatch(c)(cl.ResumeBatch(ctx, s.ID))
}

// batchCancel is "pando batch cancel".
type batchCancel struct{ batchID }

// Run cancels the batch.
func (s *batchCancel) Run(ctx context.Context, c *console, cl *client.Client) error {
	return showBatch(c)(cl.CancelBatch(ctx, s.ID))
}

// batchWatch is "pando batch watch".
type batchWatch struct{ batchID }

func (batchWatch) Help() string {
	return `Shows progress until the batch is checked, waiting for approval, paused, cancelled or done, and why it is so. The exit status is 1 where it is paused or cancelled, or a row was refused, and 3 where it waits for approval. Interrupting this does not stop the batch.`
}

// Run follows the batch.
func (s *batchWatch) Run(ctx context.Context, c *console, cl *client.Client) error {
	b, err := followBatch(ctx, c, cl, s.ID)
	if err != nil {
		return err
	}
	return endOfBatch(c, b, "")
}

// followBatch shows progress until the batch is at rest, and returns it so.
func followBatch(ctx context.Context, c *console, cl *client.Client, id string) (*client.Batch, error) {
	p := newProgress(c)
	defer p.end()
	var last *client.Batch
	for b, err := range cl.Watch(ctx, id) {
		if err != nil {
			return nil, brokeOff(err, "the batch does not depend on this command: 'pando batch watch %s' takes it up again", id)
		}
		p.show(stepOf(b))
		last = b
	}
	if last == nil {
		return cl.Batch(ctx, id)
	}
	return last, nil
}

// endOfBatch prints a batch at rest, and is errSilent where the exit status has
// to say that not every row is well. results is the file that has the results, or "".
func endOfBatch(c *console, b *client.Batch, results string) error {
	// What results are written to holds nothing else.
	if results != "-" {
		if err := showBatch(c)(b, nil); err != nil {
			return err
		}
	}
	if b.Refused > 0 {
		where := results
		switch results {
		case "":
			where = fmt.Sprintf("'pando batch results %s --status refused'", b.ID)
		case "-":
			where = "standard output"
		}
		c.note("refused: %d of %s; %s says why", b.Refused, pki.Count(b.Rows, "row"), where)
	}
	if b.State == client.Paused {
		c.note("the batch is paused; 'pando batch resume %s' lets it go on, 'pando batch cancel %s' ends it", b.ID, b.ID)
	}
	if b.State == client.Checked && b.Needs != "" {
		c.note("issuing it needs approval: %s", b.Needs)
	}
	if b.State == client.Unapproved {
		c.note("not issued yet: %s", b.Why)
		c.note("hint: 'pando batch watch %s' follows it once it is approved", b.ID)
		return errWaits
	}
	if b.Refused > 0 || b.State == client.Cancelled || b.State == client.Paused {
		return errSilent
	}
	return nil
}

// showBatch returns a function that prints the answer of an operation on a
// batch.
func showBatch(c *console) func(*client.Batch, error) error {
	return func(b *client.Batch, err error) error {
		if err != nil {
			return err
		}
		return c.result(b, func(w io.Writer) error {
			t := table{}
			t.add("batch", b.ID)
			t.add("state", b.State)
			if b.StoppedBy != "" {
				t.add(b.State+" by", b.StoppedBy)
			}
			if b.Why != "" {
				t.add("why", b.Why)
			}
			if b.Needs != "" {
				t.add("needs approval", b.Needs)
			}
			if b.Change != "" {
				t.add("change", b.Change)
			}
			t.add("endpoint", b.Endpoint)
			t.add("profile", fmt.Sprintf("%s v%d", b.Profile.Name, b.Profile.Version))
			if b.PairProfile != nil {
				t.add("pairs with", fmt.Sprintf("%s, profile %s v%d", b.PairEndpoint, b.PairProfile.Name, b.PairProfile.Version))
			}
			t.add("rows", b.Rows)
			if b.DryRun {
				t.add("checked", b.Checked)
			}
			t.add("issued", b.Issued)
			t.add("refused", b.Refused)
			t.add("cancelled", b.Cancelled)
			if b.RetryOf != "" {
				t.add("retry of", b.RetryOf)
			}
			t.add("product line", b.ProductLine)
			t.add("lot", b.Lot)
			t.add("site", b.Site)
			t.add("created", when(b.Created)+" by "+b.By)
			if !b.Finished.IsZero() && !b.Started.IsZero() {
				t.add("finished", when(b.Finished)+" after "+b.Finished.Sub(b.Started).Round(time.Millisecond).String())
			}
			return t.write(w)
		})
	}
}
