// Package bench measures pando against the machine that it runs on: the same run
// finds what the machine can do at most (Limit, Handler) and what pando takes for
// the same work, and reports the ratio. Rates drift with the neighbours of a shared
// machine; CPU time and ratios taken in one run do not.
//
// The server is a process of its own, started by the same binary as a user would
// start it, so that its CPU time is known alone; the clients are in this one. It
// needs Linux, for /proc.
//
// It is no test: it fails only where something cannot be measured.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/quickstart"
)

// Config says what to measure.
type Config struct {
	Program string // path of this binary, which is started as the server too
	Dir     string // for the server's data: new or empty; "" is a temporary one, removed at the end
	Rows    []int  // of Goals; nil is all
	Quick   bool   // a first picture in about a minute: one short round of each, with less of everything
	// Seconds is how long one measurement lasts, about; 0 is what Quick says.
	Seconds float64
	// Certificates is how many a full store has (rows 9, 12 and 13); 0 is what
	// Quick says.
	Certificates int
	Tell         func(format string, args ...any) // told each measurement as it is made
}

// The bounds of Seconds.
const (
	minSeconds = 0.05
	maxSeconds = 600.0
)

// A bench is one run.
type bench struct {
	cfg    Config
	dir    string
	rounds int
	length time.Duration // of one measurement
	report *Report
	yard   yardsticks

	server *process
	file   quickstart.File
	api    *client.Client
	series int // of devices; each has ids of its own

	few, full *deployment // with few certificates and with many; closed
}

// Run measures and reports. Where ctx ends before all is measured, the report has what
// was, says that it was interrupted, and comes with the error of ctx.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	rows, err := selected(cfg.Rows)
	if err != nil {
		return nil, err
	}
	b := &bench{cfg: cfg, rounds: 5, length: 8 * time.Second}
	if cfg.Quick {
		b.rounds, b.length = 1, time.Second
	}
	if cfg.Seconds != 0 {
		if cfg.Seconds < minSeconds || cfg.Seconds > maxSeconds {
			return nil, fmt.Errorf("a measurement lasts %g to %g seconds", minSeconds, maxSeconds)
		}
		b.length = time.Duration(cfg.Seconds * float64(time.Second))
	}
	if b.length < time.Second {
		b.rounds = 1 // a trial
	}
	if err := b.makeDir(); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	if b.report, err = newReport(b.dir); err != nil {
		return nil, err
	}
	if err := b.yard.start(cfg.Program); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.yard.stop(), b.stopServer()) }()
	for _, m := range measures {
		if !slices.ContainsFunc(m.rows, func(r int) bool { return slices.Contains(rows, r) }) {
			continue
		}
		if err := m.run(b, ctx); ctx.Err() != nil {
			b.report.Interrupted = true
			return b.report, errors.Join(ctx.Err(), b.report.end(rows, b.yard))
		} else if err != nil {
			return nil, fmt.Errorf("row %d: %w", m.rows[0], err)
		}
	}
	return b.report, b.report.end(rows, b.yard)
}

// measures are the parts of a run, in the order in which they are made: each finds
// the figures of one or more rows.
var measures = []struct {
	rows []int
	run  func(*bench, context.Context) error
}{
	{[]int{1, 11}, (*bench).issueSingles},
	{[]int{14}, (*bench).issuePostQuantum},
	{[]int{2}, (*bench).issueBatches},
	{[]int{4}, (*bench).answerKept},
	{[]int{5}, (*bench).answerSigned},
	{[]int{7}, (*bench).revokeSingles},
	{[]int{8}, (*bench).revokeLots},
	{[]int{15}, (*bench).issueBesideBatch},
	{[]int{6}, (*bench).buildCRL},
	{[]int{12}, (*bench).fullStore},
	{[]int{13}, (*bench).startFull},
	{[]int{9}, (*bench).memoryOf},
}

// selected returns the rows that are asked for, all where none is.
func selected(rows []int) ([]int, error) {
	all := make([]int, 0, len(Goals))
	for _, g := range Goals {
		all = append(all, g.Row)
	}
	for _, r := range rows {
		if !slices.Contains(all, r) {
			return nil, fmt.Errorf("there is no row %d: they are %v", r, slices.Compact(all))
		}
	}
	if len(rows) == 0 {
		return slices.Compact(all), nil
	}
	return rows, nil
}

func (b *bench) makeDir() (err error) {
	if b.cfg.Dir == "" {
		b.dir, err = os.MkdirTemp("", "pando-bench-")
		return err
	}
	if err := os.MkdirAll(b.cfg.Dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(b.cfg.Dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: name a new directory", b.cfg.Dir)
	}
	if err != nil {
		return err
	}
	b.dir, err = filepath.Abs(b.cfg.Dir)
	return err
}

// tell notes a raw line, in the report too.
func (b *bench) tell(format string, args ...any) {
	b.report.Lines = append(b.report.Lines, fmt.Sprintf(format, args...))
	b.cfg.Tell(format, args...)
}
