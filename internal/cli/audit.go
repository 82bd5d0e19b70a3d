package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// auditCommand is "pando audit".
type auditCommand struct {
	Checkpoint auditCheckpoint `cmd:"" help:"Print the newest signed checkpoint of the log."`
	Export     auditExport     `cmd:"" help:"Export the log, or the part of a period."`
	Verify     auditVerify     `cmd:"" help:"Verify an export, offline."`
	Prove      auditProve      `cmd:"" help:"Prove that a certificate or an event is in the log."`
}

func (auditCommand) Help() string {
	return `Every certificate, every revocation and every administrative act is an entry of the tenant's log, which nobody can change unseen once a checkpoint of it is out of their reach. docs/operator/audit.md says what to hand to an auditor.`
}

// auditCheckpoint is "pando audit checkpoint".
type auditCheckpoint struct {
	Out string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (auditCheckpoint) Help() string {
	return `Keep it where nobody who can write to the database can: with it, 'pando audit verify --since' finds later whether anything before it was changed. The log's key, which verifies it, is told beside it.

Examples:

    pando audit checkpoint --out 2026-03-01.checkpoint`
}

// Run prints the checkpoint.
func (a *auditCheckpoint) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := waitForLog(ctx, func() (*client.Checkpoint, error) { return cl.Checkpoint(ctx) })
	if err != nil {
		return err
	}
	if a.Out != "" {
		c.note("the log's key is %s", got.Key)
		return c.writeOutput(a.Out, []byte(got.Checkpoint))
	}
	return c.result(got, func(w io.Writer) error {
		c.note("the log's key is %s", got.Key)
		_, err := io.WriteString(w, got.Checkpoint)
		return err
	})
}

// auditExport is "pando audit export".
type auditExport struct {
	Since moment `placeholder:"TIME" help:"From this time on, as 2026-03-01 or 2026-03-01T00:00:00Z (default: the beginning)."`
	Until moment `placeholder:"TIME" help:"Up to this time (default: now)."`
	Out   string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (auditExport) Help() string {
	return `Lines of JSON: every entry with its content, the checkpoints that anchors got, and the newest one. It begins and ends where such a checkpoint does, minutes before and after the period: the time of an entry says what belongs to it.

Examples:

    pando audit export --out log.ndjson
    pando audit export --since 2026-01-01 --until 2026-04-01 --out first-quarter.ndjson`
}

// Run writes the export.
func (a *auditExport) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := refuseExisting(a.Out); err != nil {
		return err
	}
	stream, err := waitForLog(ctx, func() (io.ReadCloser, error) { return cl.ExportLog(ctx, a.Since.Time, a.Until.Time) })
	if err != nil {
		return err
	}
	defer stream.Close()
	if a.Since.IsZero() && a.Until.IsZero() {
		return c.writeStream(a.Out, stream)
	}
	period := auditPeriod{since: a.Since.Time, until: a.Until.Time}
	if err := c.writeStream(a.Out, io.TeeReader(stream, &period)); err != nil {
		return err
	}
	if !period.met {
		c.note("nothing was logged in this period; the export has what is around it alone")
	}
	return nil
}

// maxExportLine bounds what is kept of a line of an export.
const maxExportLine = 1 << 20

// An auditPeriod is told an export as it comes, and looks for an entry of a period.
type auditPeriod struct {
	since, until time.Time // zero is no bound
	met          bool      // there is one, or what comes is no export: the rest does not matter
	part         []byte    // of a line that has not ended
}

// Write takes the next part of the export.
func (p *auditPeriod) Write(b []byte) (int, error) {
	for rest := b; !p.met; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if len(p.part)+len(line) > maxExportLine {
			p.met = true // this is no export
			break
		}
		p.part = append(p.part, line...)
		if !ended {
			break
		}
		// What is no line of an export is found by whoever verifies it.
		if e, err := audit.ReadEntry(p.part); err == nil && e != nil {
			at := e.Time()
			p.met = !at.Before(p.since) && (p.until.IsZero() || !at.After(p.until))
		}
		p.part, rest = p.part[:0], after
	}
	return len(b), nil
}

// A moment is a flag that takes a day, whose beginning in UTC it is, or a time.
type moment struct{ time.Time }

// UnmarshalText reads either.
func (m *moment) UnmarshalText(text []byte) error {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, string(text)); err == nil {
			m.Time = t
			return nil
		}
	}
	return fmt.Errorf("%q: write a day, as 2026-03-01, or a time, as 2026-03-01T00:00:00Z", text)
}

// auditVerify is "pando audit verify".
type auditVerify struct {
	Export string   `arg:"" help:"What 'pando audit export' wrote; - is standard input."`
	Since  []string `placeholder:"FILE" help:"Older checkpoints of the log, from an anchor or from 'pando audit checkpoint'; may be repeated."`
	Key    string   `placeholder:"TEXT" help:"The log's key as you know it (default: the one in the export is believed)."`
}

func (auditVerify) Help() string {
	return `Recomputes every entry and the tree from nothing but the file: no server, no network, no database. With an older checkpoint from outside it finds every change before that checkpoint, also one made with the log's own key: an entry edited, taken out, added or moved, a tail that was cut, a log put in the place of another. Without one it finds what was changed without the key.

A file of checkpoints may have several, as an anchor's file has: each whose size lies within the export is compared, and one must. Those before its beginning and beyond its end cannot be: what lies between the end of an export and its newest checkpoint is not in it, so that the export proves nothing about it. How many these are is said. It is wrong where one of them is about entries of the export for which no other vouches: export up to a later time, or without --until.

The exit status is 0 where nothing that was compared is wrong, and 1 otherwise.

Examples:

    pando audit verify log.ndjson --since 2026-03-01.checkpoint
    pando audit verify log.ndjson --since /mnt/anchor/pando.0abc.tenant.demo.checkpoints --json`
}

// maxCheckpoints is the size of the largest file of checkpoints, in bytes: of some
// years, one a minute.
const maxCheckpoints = 1 << 30

// readCheckpoints returns the signed checkpoints in files, each of which has one or more.
func (c *console) readCheckpoints(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		text, err := c.readInput(path, maxCheckpoints)
		if err != nil {
			return nil, err
		}
		notes := audit.SplitNotes(string(text))
		if len(notes) == 0 {
			return nil, fmt.Errorf("%s: there is no signed checkpoint in it", path)
		}
		all = append(all, notes...)
	}
	return all, nil
}

// Run verifies the export.
func (a *auditVerify) Run(c *console) error {
	cfg := audit.VerifyConfig{Key: a.Key}
	var err error
	if cfg.Since, err = c.readCheckpoints(a.Since); err != nil {
		return err
	}
	in := c.in
	if a.Export != "-" {
		f, err := os.Open(a.Export)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	report, err := audit.Verify(in, cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Export, err)
	}
	if len(a.Since) == 0 {
		c.note("without --since and a checkpoint from outside, a log that was rewritten with its own key cannot be told from a true one")
	}
	if err := c.result(report, func(w io.Writer) error { return writeAudit(w, report) }); err != nil {
		return err
	}
	if !report.OK() {
		return errSilent
	}
	return nil
}

// writeAudit prints a report for people.
func writeAudit(w io.Writer, r *audit.Report) error {
	var t table
	t.add("log", r.Origin)
	t.add("key", r.Key)
	t.add("entries", fmt.Sprintf("index %d up to %d: %s, %s, %s", r.From, r.To,
		pki.Count(r.Certificates, "certificate"), pki.Count(r.Events, "event"), pki.Count(r.Revocations, "revocation")))
	if r.Archived > 0 {
		t.add("from archives", fmt.Sprintf("%d of the certificates", r.Archived))
	}
	if !r.Signed.IsZero() {
		t.add("newest checkpoint", fmt.Sprintf("%d entries, signed %s", r.Size, when(r.Signed)))
	}
	t.add("checkpoints within", r.Checkpoints)
	if n := len(r.Since); n > 0 {
		t.add("older checkpoints", fmt.Sprintf("%d compared, the last of %d entries, signed %s", n, r.Since[n-1].Size, when(r.Since[n-1].Signed)))
	}
	older := pki.Count(r.Given, "older checkpoint")
	if n := r.NotCompared.Before; n > 0 {
		t.add("not compared", fmt.Sprintf("%d of %s: before the export's beginning at index %d; export from an earlier time to compare", n, older, r.From))
	}
	if n := r.NotCompared.Beyond; n > 0 {
		t.add("not compared", fmt.Sprintf("%d of %s: beyond the export's end at index %d; export up to %s or later to compare", n, older, r.To, r.NotCompared.Signed.UTC().Format(time.RFC3339)))
	}
	if err := t.write(w); err != nil {
		return err
	}
	if r.OK() {
		verdict := "nothing is wrong"
		if n := r.NotCompared.Total(); n > 0 {
			verdict = fmt.Sprintf("nothing that was compared is wrong; %d of %s could not be compared", n, older)
		}
		_, err := fmt.Fprintln(w, verdict)
		return err
	}
	for _, f := range r.Findings {
		if _, err := fmt.Fprintf(w, "WRONG: %s\n", f); err != nil {
			return err
		}
	}
	verb := "are"
	if r.Total == 1 {
		verb = "is"
	}
	_, err := fmt.Fprintf(w, "%s %s wrong\n", pki.Count(r.Total, "thing"), verb)
	return err
}

// auditProve is "pando audit prove".
type auditProve struct {
	Issuer string `arg:"" optional:"" help:"Id of a certificate's issuer; may be left out where one certificate alone has the serial number."`
	Serial string `arg:"" optional:"" help:"Its serial number in hexadecimal."`
	Event  string `placeholder:"ID" help:"Prove an event instead."`
	File   string `placeholder:"FILE" help:"Verify a proof in a file instead, without a server; - is standard input."`
	Key    string `placeholder:"TEXT" help:"The log's key as you know it (default: the one in the proof is believed)."`
	Out    string `placeholder:"FILE" help:"Write the proof to this new file, for somebody else to verify."`
}

func (auditProve) Help() string {
	return `The proof is a leaf, the hashes from it to the root of a signed checkpoint, and the checkpoint. It is verified before it is shown or written.

Examples:

    pando audit prove 4201902f... --out meter.proof
    pando audit prove 5m2k8c0q4r 4201902f... --out meter.proof
    pando audit prove --file meter.proof
    pando audit prove --event 0d3k2...`
}

// logged says where the log has a leaf.
type logged struct {
	Origin string     `json:"origin"`
	Index  int64      `json:"index"`
	Size   int64      `json:"size"` // of the checkpoint's tree
	Signed time.Time  `json:"signed"`
	Key    string     `json:"key"`
	Leaf   audit.Leaf `json:"leaf"`

	head audit.Checkpoint
}

// Run gets a proof and verifies it.
func (a *auditProve) Run(ctx context.Context, c *console, g *globals) error {
	if err := refuseExisting(a.Out); err != nil {
		return err
	}
	text, err := a.read(ctx, c, g)
	if err != nil {
		return err
	}
	l, err := verifyProof(text)
	if err != nil {
		return err
	}
	if a.Key != "" && strings.TrimSpace(a.Key) != l.Key {
		return fmt.Errorf("the proof is by the key %s, not by the one that was given", l.Key)
	}
	if a.Out != "" {
		if err := c.writeOutput(a.Out, text); err != nil {
			return err
		}
	}
	if a.File != "" && a.Key == "" {
		c.note("without --key the key in the file is believed: compare it with the log's key as you know it")
	}
	return c.result(l, func(w io.Writer) error {
		var t table
		t.add("proof", "holds: the entry is in the log that the checkpoint signs")
		t.add("log", l.Origin)
		t.add("key", l.Key)
		t.add("index", l.Index)
		t.add("checkpoint", fmt.Sprintf("%d entries, signed %s", l.Size, when(l.Signed)))
		t.add("entry", leafLine(&l.Leaf))
		return t.write(w)
	})
}

// maxProof is the size of the largest proof, in bytes.
const maxProof = 1 << 20

// read returns the proof that is asked for.
func (a *auditProve) read(ctx context.Context, c *console, g *globals) ([]byte, error) {
	asked := 0
	for _, what := range []bool{a.Issuer != "", a.Event != "", a.File != ""} {
		if what {
			asked++
		}
	}
	if asked != 1 {
		return nil, usagef("name a certificate by its serial number, or its issuer and that; or --event, or --file")
	}
	if a.File != "" {
		return c.readInput(a.File, maxProof)
	}
	cl, err := g.connect(c)
	if err != nil {
		return nil, err
	}
	if a.Event != "" {
		return waitForLog(ctx, func() ([]byte, error) { return cl.EventProof(ctx, a.Event) })
	}
	of := certName{a.Issuer, a.Serial}
	if err := of.resolve(ctx, cl); err != nil {
		return nil, err
	}
	proof, err := waitForLog(ctx, func() ([]byte, error) { return cl.CertificateProof(ctx, of.Issuer, of.Serial) })
	return proof, of.orArchived(ctx, cl, err)
}

// logPatience is how long the log is waited for: an entry gets its place, and a
// checkpoint that covers it, within a second, and later where the server's machine is busy.
const logPatience = 20 * time.Second

// waitForLog asks until the log is ready, or patience ends.
func waitForLog[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	for {
		got, err := ask()
		if !isNotReady(err) {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, err
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func isNotReady(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && p.Kind == pki.NotReady.String()
}

// verifyProof reads a proof and verifies it.
func verifyProof(text []byte) (*logged, error) {
	var p audit.Inclusion
	if err := strictjson.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("it is not a proof: %w", err)
	}
	head, err := p.Verify()
	if err != nil {
		return nil, fmt.Errorf("the proof does not hold: %w", err)
	}
	return &logged{Origin: head.Origin, Index: p.Index, Size: head.Size, Signed: head.Time, Key: p.Key, Leaf: p.Leaf, head: head}, nil
}

// provedCertificate returns where the log has a certificate; nil where it has no
// checkpoint that covers it yet.
func provedCertificate(ctx context.Context, cl *client.Client, x *client.Certificate) (*logged, error) {
	text, err := waitForLog(ctx, func() ([]byte, error) { return cl.CertificateProof(ctx, x.Issuer, x.Serial) })
	if isNotReady(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l, err := verifyProof(text)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(x.Certificate))
	if block == nil {
		return nil, errors.New("the server sent no certificate")
	}
	if sum := sha256.Sum256(block.Bytes); l.Leaf.Certificate == nil || l.Leaf.Certificate.SHA256 != sum {
		return nil, fmt.Errorf("what the log has at index %d is not this certificate", l.Index)
	}
	return l, nil
}

// leafLine says in a line what a leaf says.
func leafLine(l *audit.Leaf) string {
	switch {
	case l.Certificate != nil:
		x := l.Certificate
		return fmt.Sprintf("certificate %s %s, device %s, issued %s, SHA-256 %s", x.Issuer, pki.Serial(x.Serial), x.Device, when(x.Issued), hex.EncodeToString(x.SHA256[:]))
	case l.Event != nil:
		return fmt.Sprintf("%s %s by %s, %s", l.Event.Action, l.Event.Target, l.Event.Actor, when(l.Event.At))
	case l.Revocation != nil:
		return fmt.Sprintf("status of %s %s: %s, %s", l.Revocation.Issuer, pki.Serial(l.Revocation.Serial), pki.Reason(l.Revocation.Reason), when(l.Revocation.At))
	}
	return ""
}
