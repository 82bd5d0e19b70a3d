package cli

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// waiting is the flags of commands that start a batch and may follow it.
type waiting struct {
	Wait    bool   `help:"Follow the batch until it is at rest, as 'pando batch watch' does."`
	Results string `placeholder:"FILE" help:"Wait, then write the results to this new file: PEM or zip where its name ends so, otherwise NDJSON."`
}

// follow prints the batch that was started. Where that is asked for it first
// follows it until it is at rest and writes its results.
func (f *waiting) follow(ctx context.Context, c *console, cl *client.Client, b *client.Batch) error {
	if !f.Wait && f.Results == "" {
		return showBatch(c)(b, nil)
	}
	c.note("batch %s, %s", b.ID, pki.Count(b.Rows, "row"))
	b, err := followBatch(ctx, c, cl, b.ID)
	if err != nil {
		return err
	}
	if f.Results != "" {
		if err := writeResults(ctx, c, cl, b.ID, 0, "", formatOf(f.Results), f.Results); err != nil {
			return err
		}
	}
	return endOfBatch(c, b, f.Results)
}
