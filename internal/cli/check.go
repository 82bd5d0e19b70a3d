package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/server"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// checkCommand is "pando check".
type checkCommand struct {
	dataFlags
	Acknowledged string `placeholder:"FILE" help:"What clients were told they got, as lines of JSON with issuer, serial and sha256: each must be in the store."`
	Relint       bool   `help:"Also lint certificates again: against the profile version that each was issued under, and with every rule of zlint's."`
	Sample       int    `placeholder:"N" help:"Of a lint: only so many certificates, chosen by chance (at most 100000)."`
	Seed         uint64 `placeholder:"NUMBER" help:"Of a sample: the seed that another run printed, to choose the same (default: by chance)."`
}

func (checkCommand) Help() string {
	return `Reads a whole store and computes anew what must hold: serial numbers are unique, every certificate parses, verifies and is what was intended, what is revoked is in the CRL, and more. The server must be stopped. No record is changed.

The exit status is 1 where anything is found.

Examples:

    pando check --data /var/lib/pando
    pando check --data /var/lib/pando --json
    pando check --data /var/lib/pando --relint --sample 10000`
}

// relint returns what is linted again, nil for nothing.
func (k *checkCommand) relint() (*check.Relint, error) {
	switch {
	case !k.Relint && (k.Sample != 0 || k.Seed != 0) || k.Sample == 0 && k.Seed != 0:
		return nil, pki.Errorf(pki.Malformed, "--seed goes with --sample, and --sample with --relint")
	case k.Sample < 0 || k.Sample > check.MaxSample:
		return nil, pki.Errorf(pki.Malformed, "a sample has 1 to %d certificates; without --sample all are linted", check.MaxSample)
	case !k.Relint:
		return nil, nil
	case k.Sample > 0 && k.Seed == 0:
		k.Seed = rand.Uint64N(1_000_000_000) + 1
	}
	return &check.Relint{Sample: k.Sample, Seed: k.Seed}, nil
}

// checkedStore is the result of "pando check".
type checkedStore struct {
	*check.Report
	Seed uint64 `json:"seed,omitempty"` // of the sample
}

// Run checks the store.
func (k *checkCommand) Run(ctx context.Context, c *console) error {
	relint, err := k.relint()
	if err != nil {
		return err
	}
	cfg, err := k.load()
	if k.Config == "" && errors.Is(err, fs.ErrNotExist) {
		// A store alone can be checked too: a copy, or a quickstart's.
		cfg, err = server.DefaultConfig(), nil
		cfg.Data = k.Data
	}
	if err != nil {
		return err
	}
	// Open would make a new database.
	if _, err := os.Stat(cfg.Database()); err != nil {
		return err
	}
	var acknowledged io.Reader
	if k.Acknowledged != "" {
		f, err := os.Open(k.Acknowledged)
		if err != nil {
			return err
		}
		defer f.Close()
		acknowledged = f
	}
	store, err := sqlstore.Open(ctx, cfg.Database(), sqlstore.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	archives, err := cfg.Archives()
	if err != nil {
		return err
	}
	report, err := check.Run(ctx, check.Config{Store: store, Now: time.Now, Acknowledged: acknowledged, Archives: archives, Relint: relint})
	if err != nil {
		return err
	}
	if err := c.result(checkedStore{report, k.Seed}, checked(report, k.Seed)); err != nil {
		return err
	}
	if !report.OK() {
		return errSilent
	}
	return nil
}

// checked prints a report for people.
func checked(r *check.Report, seed uint64) func(io.Writer) error {
	return func(w io.Writer) error {
		t := table{}
		t.add("issuers", r.Issuers)
		t.add("certificates", r.Certificates)
		switch {
		case seed != 0:
			t.add("linted again", fmt.Sprintf("%d, by chance with seed %d", r.Relinted, seed))
		case r.Relinted > 0:
			t.add("linted again", r.Relinted)
		}
		archived := pki.Count(r.Archives, "archive") + " with " + pki.Count(r.Archived, "certificate")
		if r.Unread > 0 {
			archived += fmt.Sprintf(", and %d that could not be read", r.Unread)
		}
		t.add("archived", archived)
		t.add("intents", fmt.Sprintf("%d, %d of them open", r.Intents, r.OpenIntents))
		t.add("void serial numbers", r.Voids)
		t.add("CRLs", fmt.Sprintf("%d with %d entries, %d due", r.CRLs, r.CRLEntries, r.ShardsDue))
		t.add("acknowledged", r.Acknowledged)
		t.add("logs", fmt.Sprintf("%d with %d entries", r.Logs, r.LogEntries))
		t.add("status entries", r.StatusEntries)
		t.add("events", r.Events)
		t.add("seconds", fmt.Sprintf("%.1f", r.Seconds))
		if err := t.write(w); err != nil {
			return err
		}
		for _, f := range r.Findings {
			fmt.Fprintln(w, f)
		}
		if more := r.Total - int64(len(r.Findings)); more > 0 {
			fmt.Fprintf(w, "and %d more\n", more)
		}
		verdict := "everything holds"
		if !r.OK() {
			verdict = pki.Count(r.Total, "finding")
		}
		_, err := fmt.Fprintln(w, verdict)
		return err
	}
}
