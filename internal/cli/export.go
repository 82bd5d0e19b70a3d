package cli

import (
	"io"
	"strings"

	"github.com/pando-pki/pando/client"
)

// exportFlags are those of the commands that write all of a search.
type exportFlags struct {
	Format string `enum:",ndjson,csv" default:"" placeholder:"FORMAT" help:"ndjson or csv (default: csv where the name of --out ends in .csv, else ndjson)."`
	Cursor string `placeholder:"TEXT" help:"Go on after the row that the cursor stands in."`
	Out    string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

// exportHelp is what the help of such a command says first.
const exportHelp = `Every row has a cursor: an export to standard output that broke off goes on with --cursor and the last one that came; with --out nothing remains of it. In CSV a field that a spreadsheet would take for a formula has an apostrophe before it.`

// write writes what open returns in the format that is asked for.
func (e *exportFlags) write(c *console, open func(client.Format) (io.ReadCloser, error)) error {
	format := client.Format(e.Format)
	switch {
	case format != "":
	case strings.HasSuffix(strings.ToLower(e.Out), ".csv"):
		format = client.CSV
	default:
		format = client.NDJSON
	}
	if err := refuseExisting(e.Out); err != nil {
		return err
	}
	body, err := open(format)
	if err != nil {
		return err
	}
	defer body.Close()
	return c.writeStream(e.Out, body)
}
