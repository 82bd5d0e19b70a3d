package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pando-pki/pando/internal/bench"
)

// benchCommand is "pando bench".
type benchCommand struct {
	Quick        bool    `help:"A first picture in about a minute on a quiet machine of two cores: one round of each row, with less of everything. The report says with how much."`
	Rows         []int   `placeholder:"N" help:"Only these rows of the table (default: all)."`
	Data         string  `placeholder:"DIR" help:"New directory for the server that is measured; it is kept (default: a temporary one, removed at the end)."`
	Out          string  `placeholder:"FILE" help:"Write the report, with every measurement, to this new file as JSON."`
	Seconds      float64 `placeholder:"N" help:"How long one measurement lasts, about (default: 8; 1 with --quick). Below 1 the figures are a trial of the command, and say nothing."`
	Certificates int     `placeholder:"N" help:"How many certificates a full store has (default: 20,000,000, which takes about an hour and 20 GB; 50,000 with --quick)."`

	ServeHandler bool `hidden:"" help:"Be the bare handler that the command starts to measure against."`
}

func (benchCommand) Help() string {
	return `Finds what this machine can do at most and what pando takes for the same work, in one run, and prints the ratios: CPU of the server alone, which stays true on a machine that others use, where rates do not. docs/benchmarks.md says what the rows are and what stands for what.

The server is one of its own, with the hierarchy of 'pando quickstart', on free ports. Name a directory on the disk that matters: a commit waits for it. It needs Linux.

Rows whose part of pando is not built are listed without a figure. The exit status is 0 whatever the figures are. A run that is interrupted prints what it has measured, and that it was interrupted (with --json, "interrupted": true); its exit status is not 0.

Examples:

    pando bench --quick
    pando bench --rows 1,2,11 --data /var/lib/pando-bench --out bench.json`
}

// Run measures.
func (b *benchCommand) Run(ctx context.Context, c *console) (err error) {
	if b.ServeHandler {
		return bench.ServeHandler(c.in, c.out)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var out *os.File
	if b.Out != "" {
		if out, err = createNew(b.Out); err != nil {
			return err
		}
		defer out.Close()
	}
	report, err := bench.Run(ctx, bench.Config{
		Program: program, Dir: b.Data, Rows: b.Rows, Quick: b.Quick, Seconds: b.Seconds, Certificates: b.Certificates, Tell: c.note,
	})
	if report == nil {
		return err
	}
	if out != nil {
		if err := json.MarshalWrite(out, report, jsontext.WithIndent("  ")); err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
	return errors.Join(err, c.result(report, measured(report)))
}

// measured prints a report for people.
func measured(r *bench.Report) func(io.Writer) error {
	return func(w io.Writer) error {
		m := r.Machine
		fmt.Fprintf(w, "%s, %d cores, %d MiB, Linux %s, %s, %s (a sync takes %.0f µs), load %s before and %s after\n",
			m.CPU, m.Cores, m.MemoryMiB, m.Kernel, m.Go, m.Filesystem, m.SyncUS, m.LoadBefore, m.LoadAfter)
		if r.LimitUS > 0 {
			fmt.Fprintf(w, "Limit %.1f µs of CPU; ", r.LimitUS)
		}
		if r.HandlerUS > 0 {
			fmt.Fprintf(w, "Handler %.2f µs; ", r.HandlerUS)
		}
		fmt.Fprintf(w, "%.0f s in all\n\n", r.Seconds)
		t := table{heading: []string{"ROW", "WHAT", "MEASURED", "ROUNDS", "MUST", "AIM", "MET", "UNIT"}}
		for _, row := range r.Rows {
			if len(row.Rounds) == 0 {
				t.add(row.Row, row.What, "", "", row.Must, row.Aim, row.Met, row.Unit)
				continue
			}
			var rounds []string
			for _, v := range row.Rounds {
				rounds = append(rounds, fmt.Sprintf("%.2f", v))
			}
			t.add(row.Row, row.What, fmt.Sprintf("%.2f", row.Measured), strings.Join(rounds, " "), row.Must, row.Aim, row.Met, row.Unit)
		}
		if r.Interrupted {
			fmt.Fprint(w, "Interrupted: this is what was measured until then.\n\n")
		}
		return t.write(w)
	}
}
