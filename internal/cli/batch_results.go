package cli

import (
	"context"
	"path/filepath"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// batchResults is "pando batch results".
type batchResults struct {
	batchID
	After  int64  `empty:"all" placeholder:"ROW" help:"Only rows after this one."`
	Status string `enum:"issued,refused,cancelled,archived," default:"" placeholder:"STATUS" help:"Only rows that ended so: issued, refused, cancelled or archived; not in a zip archive."`
	Format string `enum:"ndjson,pem,zip," default:"" placeholder:"FORMAT" help:"ndjson, pem or zip (default: as the name of the file ends, otherwise ndjson)."`
	Out    string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (batchResults) Help() string {
	return `Rows come in input order, up to the first that has no end yet, so that this can be asked again with --after while the batch runs. A zip archive has each certificate in a file named after its device, and index.csv with every row.

Examples:

    pando batch results 0ab3... --out lot-7.pem
    pando batch results 0ab3... --out lot-7.zip
    pando batch results 0ab3... --status refused | jq -r '[.row, .device, .reason] | @tsv'`
}

// Run fetches the results.
func (r *batchResults) Run(ctx context.Context, c *console, cl *client.Client) error {
	format := client.Format(r.Format)
	if format == "" {
		format = formatOf(r.Out)
	}
	if err := writeResults(ctx, c, cl, r.ID, r.After, r.Status, format, r.Out); err != nil {
		return err
	}
	b, err := cl.Batch(ctx, r.ID)
	if err != nil {
		return err
	}
	switch b.State {
	case client.Done, client.Cancelled:
	case client.Checked:
		if b.Refused == 0 {
			c.note("the batch is checked, and nothing of it is signed yet: none of its %s would be refused, so there are no results; 'pando batch issue %s' issues them", pki.Count(b.Rows, "row"), b.ID)
			break
		}
		c.note("the batch is checked, and nothing of it is signed yet: of %s %d would be refused, and are what the results have; 'pando batch issue %s' issues the others", pki.Count(b.Rows, "row"), b.Refused, b.ID)
	default:
		c.note("the batch is %s, with %d of %s at their end: these are not all results", b.State, b.Issued+b.Refused, pki.Count(b.Rows, "row"))
	}
	return nil
}

// formatOf returns the format of results that a file's name asks for.
func formatOf(path string) client.Format {
	switch filepath.Ext(path) {
	case ".pem":
		return client.PEM
	case ".zip":
		return client.Zip
	}
	return client.NDJSON
}

// writeResults streams results to a new file, or to standard output.
func writeResults(ctx context.Context, c *console, cl *client.Client, id string, after int64, status string, format client.Format, path string) error {
	body, err := cl.ResultsAs(ctx, id, after, status, format)
	if err != nil {
		return err
	}
	defer body.Close()
	return c.writeStream(path, body)
}
