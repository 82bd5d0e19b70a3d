package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
)

// authorityIndex is "pando authority index".
type authorityIndex struct {
	authorityName
	Indexes []string `arg:"" enum:"expiry,fingerprint,subject" help:"expiry, fingerprint or subject."`
	Wait    bool     `help:"Wait until they are made, and show how far that is."`
}

func (authorityIndex) Help() string {
	return `Searches by expiry, fingerprint or subject go through an index, which an authority is created with ('pando authority create --index') or gets by this command at any time: certificates that are there get it in the background, some ten thousand a second, while all else goes on; searches use it when all have. A stop of the server takes nothing back: the next start goes on. Each index costs at every issuance from then on, for life.

Examples:

    pando authority index manufacturing subject expiry --wait
    pando authority show manufacturing`
}

// lookAgain is the time between two looks at indexes that are being made.
const lookAgain = 500 * time.Millisecond

// Run has the indexes made.
func (a *authorityIndex) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.AddIndexes(ctx, a.Authority, client.NewIndexes{Indexes: a.Indexes})
	if err != nil {
		return err
	}
	switch {
	case a.Wait:
		if got, err = followIndexing(ctx, c, cl, got); err != nil {
			return err
		}
	case got.Indexing != nil:
		c.note("%s gets the index in the background; 'pando authority show %s' says how far it is", got.Name, got.Name)
	}
	return c.result(got, authority(got))
}

// followIndexing returns the authority when its indexes are made.
func followIndexing(ctx context.Context, c *console, cl *client.Client, a *client.Authority) (*client.Authority, error) {
	p := newProgress(c)
	defer p.end()
	for a.Indexing != nil {
		p.show(step{stage: "indexing", unit: percent, done: int64(a.Indexing.Percent), total: 100})
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lookAgain):
		}
		next, err := cl.Authority(ctx, a.ID)
		if err != nil {
			return nil, hintf(err, "the server goes on without this command: 'pando authority show %s' says how far it is", a.Name)
		}
		a = next
	}
	return a, nil
}

// indexing says which indexes an authority gets, and how far that is.
func indexing(x *client.Indexing) string {
	return fmt.Sprintf("%s: %d %%", strings.Join(x.Indexes, ", "), x.Percent)
}
