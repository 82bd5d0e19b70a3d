package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/lotreport"
)

// lotClose is "pando lot close".
type lotClose struct {
	Name     string `arg:"" help:"Name of the lot."`
	Scrapped *int64 `placeholder:"N" help:"How many devices of the lot were scrapped without a certificate. Devices that are decommissioned are counted besides."`
	Out      string `placeholder:"FILE" help:"Write the report to this new file (default: standard output)."`
	Yes      bool   `help:"Do not ask."`
}

func (lotClose) Help() string {
	return `Closes the lot for good, after asking: nothing is enrolled in it any more. All its batches must be at their end, but for dry runs that were not issued: of these nothing is, from then on. The report says how many devices were ordered, issued, refused and scrapped, by product line and site and by batch, and is signed with the tenant's key for lot reports. Closing the lot again gives the same report, and asks nothing.

Examples:

    pando lot close lot-7 --scrapped 12 --out lot-7.report --yes`
}

// Run closes the lot.
func (l *lotClose) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := refuseExisting(l.Out); err != nil {
		return err
	}
	if !l.Yes {
		lot, err := cl.Lot(ctx, l.Name)
		if err != nil {
			return err
		}
		if lot.State != "closed" {
			err = confirm(fmt.Sprintf("The lot %s is closed for good, with %d scrapped: nothing is enrolled in it any more.", lot.Name, orZero(l.Scrapped)))
		}
		if err != nil {
			return err
		}
	}
	return writeReport(c, l.Out)(cl.CloseLot(ctx, l.Name, l.Scrapped))
}

// writeReport returns a function that writes a report to a new file or to standard
// output.
func writeReport(c *console, path string) func(*client.LotReport, error) error {
	return func(r *client.LotReport, err error) error {
		if err != nil {
			return err
		}
		if path != "" {
			return c.writeOutput(path, []byte(r.Report))
		}
		return c.result(r, func(w io.Writer) error {
			_, err := io.WriteString(w, r.Report)
			return err
		})
	}
}

// lotReport is "pando lot report".
type lotReport struct {
	Show   lotReportShow   `cmd:"" help:"Get the signed report of a closed lot."`
	Key    lotReportKey    `cmd:"" help:"Get the public key that reports are checked with."`
	Verify lotReportVerify `cmd:"" help:"Check a report offline."`
}

// lotReportShow is "pando lot report show".
type lotReportShow struct {
	Name string `arg:"" help:"Name of the lot."`
	Out  string `placeholder:"FILE" help:"Write the report to this new file (default: standard output)."`
}

// Run gets the report.
func (l *lotReportShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	return writeReport(c, l.Out)(cl.LotReport(ctx, l.Name))
}

// lotReportKey is "pando lot report key".
type lotReportKey struct{}

// Run gets the key.
func (lotReportKey) Run(ctx context.Context, c *console, cl *client.Client) error {
	key, err := cl.LotReportKey(ctx)
	if err != nil {
		return err
	}
	return c.result(key, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, key.Key)
		return err
	})
}

// lotReportVerify is "pando lot report verify".
type lotReportVerify struct {
	File string `arg:"" help:"The report; - is standard input."`
	Key  string `required:"" placeholder:"FILE" help:"File with the key, as 'pando lot report key' prints it. Keep it from a time when you trusted the server."`
}

func (lotReportVerify) Help() string {
	return `Checks the signature and that the numbers agree with each other, without a server.

Examples:

    pando lot report key > lot-reports.key
    pando lot report verify lot-7.report --key lot-reports.key`
}

// maxReport is the largest report that is checked, in bytes.
const maxReport = 64 << 20

// Run checks the report.
func (l *lotReportVerify) Run(c *console) error {
	signed, err := c.readInput(l.File, maxReport)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(l.Key)
	if err != nil {
		return err
	}
	r, err := lotreport.Verify(signed, strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	return c.result(r, func(w io.Writer) error {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\nThe report is signed by the tenant %s, and its numbers agree.\n", text, r.Tenant)
		return err
	})
}
