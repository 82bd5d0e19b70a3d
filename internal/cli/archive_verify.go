package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/retention"
)

// archiveVerify is "pando archive verify".
type archiveVerify struct {
	Object string `arg:"" help:"File with the object."`
	Export string `placeholder:"FILE" help:"An export of the tenant's log, from 'pando audit export': each certificate must be what was logged, and the object the one that was recorded."`
	Key    string `placeholder:"TEXT" help:"The log's key as you know it (default: the one in the export is believed)."`
}

func (archiveVerify) Help() string {
	return `Needs no server. Without an export it tells only whether the object is whole in itself: as many certificates as it says, each with the bytes that its entry names. The certificates of an archive are in exports, too, as the server reads them from it.

The exit status is 1 where anything is wrong.

Examples:

    pando archive verify 06ab-0123456789abcdef.ndjson.gz
    pando audit export --out log.ndjson
    pando archive verify 06ab-0123456789abcdef.ndjson.gz --export log.ndjson`
}

// Run checks the object.
func (a *archiveVerify) Run(c *console) error {
	content, err := os.ReadFile(a.Object)
	if err != nil {
		return err
	}
	var export io.Reader
	if a.Export != "" {
		f, err := os.Open(a.Export)
		if err != nil {
			return err
		}
		defer f.Close()
		export = f
	}
	r, err := retention.Verify(content, export, audit.VerifyConfig{Key: strings.TrimSpace(a.Key)})
	if err != nil {
		return err
	}
	if err := c.result(r, verifiedArchive(r)); err != nil {
		return err
	}
	if !r.OK() {
		return errSilent
	}
	return nil
}

func verifiedArchive(r *retention.Verified) func(io.Writer) error {
	return func(w io.Writer) error {
		t := table{}
		t.add("archive", r.Archive)
		t.add("tenant", r.Tenant)
		t.add("expired before", when(r.Before))
		t.add("certificates", r.Certificates)
		t.add("SHA-256", fmt.Sprintf("%x", r.SHA256))
		if r.Log != nil {
			t.add("log", r.Log.Origin)
			t.add("found in the log", r.Logged)
		}
		if err := t.write(w); err != nil {
			return err
		}
		for _, f := range r.Findings {
			fmt.Fprintln(w, f)
		}
		verdict := fmt.Sprintf("%d things are wrong", r.Total)
		switch {
		case r.OK() && r.Log == nil:
			verdict = "It is whole in itself; it was not held against a log (--export)."
		case r.OK():
			verdict = "It is what the log says, to the byte."
		}
		_, err := fmt.Fprintln(w, verdict)
		return err
	}
}
