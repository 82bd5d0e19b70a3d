package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// maxLine bounds a line of an export, in bytes: an event's texts are bounded by the
// requests that they come from.
const maxLine = 1 << 20

// MaxFindings is how many findings a Report holds; more are only counted.
const MaxFindings = 100

// VerifyConfig says against what an export is verified.
type VerifyConfig struct {
	// Key is the log's verifier key as the auditor knows it; "" believes the one
	// in the export, which whoever made the export may have chosen.
	Key string
	// Since are older checkpoints of the same log, from a place that whoever holds
	// the store cannot change. They are what finds a log that was rewritten by
	// somebody who holds its key too. One of them at least must have a size within
	// the export, and those beyond its end must be about no entry of it that no
	// other is about: they cannot be compared.
	Since []string

	OnProgress func(entries int64) // nil is nobody
	// OnEntry is told each entry with the hash under which it was logged; nil is
	// nobody. Whether the log is sound shows at the end.
	OnEntry func(e *Entry, logged tlog.Hash)
}

// A Report is what was read of an export, and what is wrong with it.
type Report struct {
	Origin       string    `json:"origin"`
	Key          string    `json:"key"`
	From         int64     `json:"from"`
	To           int64     `json:"to"`   // index after the last entry
	Size         int64     `json:"size"` // of the newest checkpoint
	Root         string    `json:"root"`
	Signed       time.Time `json:"signed"` // when
	Certificates int64     `json:"certificates"`
	Events       int64     `json:"events"`
	Revocations  int64     `json:"revocations"`
	Archived     int64     `json:"archived"`    // of the certificates, that are from archives
	Checkpoints  int64     `json:"checkpoints"` // within the export, that are of its tree
	Since        []Older   `json:"since"`
	// Given is how many older checkpoints were given. Those that are neither in Since
	// nor in NotCompared are findings.
	Given       int64       `json:"given"`
	NotCompared NotCompared `json:"not_compared"`

	Total    int64    `json:"total_findings"`
	Findings []string `json:"findings"` // the first MaxFindings
}

// OK reports whether nothing that was compared is wrong. NotCompared says what was not.
func (r *Report) OK() bool { return r.Total == 0 }

func (r *Report) addf(format string, args ...any) {
	r.Total++
	if len(r.Findings) < MaxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

// A verifier is one run of Verify.
type verifier struct {
	cfg    VerifyConfig
	report *Report
	key    Key
	tree   *edge
	next   int64 // index that the next entry has
	olders olders
	hasher Hasher
	sound  int64 // up to this size a signed checkpoint agreed

	newest *Checkpoint // at the end of the export; nil until there is one that the key has signed
	ended  bool
}

// Verify reads an export and recomputes the tree from nothing but its entries. It
// needs no server, no store and no network. What does not hold is a finding; an
// error means that the export could not be read, is none, or that an older
// checkpoint is not one.
func Verify(r io.Reader, cfg VerifyConfig) (*Report, error) {
	v := &verifier{cfg: cfg, report: &Report{Findings: []string{}, Since: []Older{}}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for number := 1; lines.Scan(); number++ {
		var l line
		if err := strictjson.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, pki.Errorf(pki.Malformed, "line %d of the export: %v", number, err)
		}
		if err := v.line(number, &l); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = pki.Errorf(pki.Malformed, "the export has a line of more than %d bytes", maxLine)
		}
		return nil, err
	}
	if v.tree == nil {
		return nil, pki.Errorf(pki.Malformed, "it is not an export of a log: it is empty")
	}
	v.unmet()
	if !v.ended {
		v.report.addf("the export breaks off: its end is missing")
	}
	return v.report, nil
}

func (v *verifier) line(number int, l *line) error {
	if (number == 1) != (l.Header != nil) {
		return pki.Errorf(pki.Malformed, "it is not an export of a log: its first line, and no other, is a header")
	}
	if v.ended {
		v.report.addf("line %d follows the end of the export", number)
		return nil
	}
	switch {
	case l.Header != nil:
		return v.header(l.Header)
	case l.Entry != nil:
		v.entry(l.Entry)
	case l.Checkpoint != "":
		v.checkpoint(l.Checkpoint)
	case l.End != nil:
		v.end(l.End)
	default:
		v.report.addf("line %d is empty", number)
	}
	return nil
}

func (v *verifier) header(h *Header) (err error) {
	if h.Format != ExportFormat {
		return pki.Errorf(pki.Malformed, "the export has format %.60q; this pando reads %s", h.Format, ExportFormat)
	}
	if v.tree, err = edgeOf(h.From, h.Edge); err != nil {
		return pki.Errorf(pki.Malformed, "the export's header: %v", err)
	}
	v.next = v.tree.size
	if v.key, err = ParseKey(h.Key); err != nil {
		return err
	}
	r := v.report
	r.Origin, r.Key, r.From, r.To = h.Origin, h.Key, h.From, h.To
	if h.Origin != v.key.Origin() {
		r.addf("the export is of the log %s, and its key of %s", h.Origin, v.key.Origin())
	}
	if v.cfg.Key != "" {
		known, err := ParseKey(v.cfg.Key)
		if err != nil {
			return pki.Because(pki.Malformed, err, "the key that was given is none of a log: it is as 'pando audit checkpoint' prints it")
		}
		if known.String() != v.key.String() {
			r.addf("the export's key is %s, not the one that was given: it is another log, or the log was replaced", v.key)
		}
		v.key = known
	}
	return v.older()
}

func (v *verifier) entry(e *Entry) {
	r := v.report
	switch {
	case e.Index != v.next: // said once, not again of each that follows
		r.addf("index %d follows %d: entries were taken out, added or moved", e.Index, v.next-1)
	case e.Index >= r.To:
		r.addf("index %d is beyond the export's own end, %d", e.Index, r.To)
	}
	v.next = e.Index + 1
	kinds := 0
	for _, k := range []struct {
		set   bool
		count *int64
	}{{e.Certificate != nil, &r.Certificates}, {e.Event != nil, &r.Events}, {e.Revocation != nil, &r.Revocations}} {
		if k.set {
			kinds++
			*k.count++
		}
	}
	if e.Archive != "" && e.Certificate != nil {
		r.Archived++
	}
	h := v.hasher.Hash(&e.Leaf)
	switch {
	case e.Logged != nil && kinds == 0 && e.Archive != "":
		r.addf("index %d: what was logged is said to be in the archive %.40q, and could not be had from it when the export was made", e.Index, e.Archive)
	case e.Logged != nil && kinds == 0:
		r.addf("index %d: what was logged is gone from the store", e.Index)
	case kinds != 1:
		r.addf("index %d says nothing, or more than one thing", e.Index)
	case e.Logged != nil && h != *e.Logged:
		r.addf("index %d: what the store has is not what was logged", e.Index)
	}
	if e.Logged != nil {
		h = *e.Logged
	}
	if v.cfg.OnEntry != nil {
		v.cfg.OnEntry(e, h)
	}
	v.tree.push(h, 1)
	v.meet()
	if v.cfg.OnProgress != nil && v.tree.size%1000 == 0 {
		v.cfg.OnProgress(v.tree.size - r.From)
	}
}

// checkpoint verifies one whose tree ends here.
func (v *verifier) checkpoint(note string) {
	c, err := v.key.Open(note)
	switch {
	case err != nil:
		v.report.addf("a checkpoint after index %d: %s", v.tree.size-1, pki.DetailOf(err))
	case c.Size != v.tree.size:
		v.report.addf("a checkpoint of %d entries stands after %d", c.Size, v.tree.size)
	case c.Root != v.tree.root():
		v.report.addf("the entries up to index %d are not those of the checkpoint of %s; %s", c.Size-1, rfc3339(c.Time), v.soundUpTo())
	default:
		v.sound = c.Size
		v.report.Checkpoints++
	}
}

// soundUpTo says which entries a checkpoint before has met.
func (v *verifier) soundUpTo() string {
	if v.sound == 0 {
		return "no checkpoint before it is met"
	}
	return fmt.Sprintf("up to index %d they are", v.sound-1)
}

func (v *verifier) end(e *End) {
	v.ended = true
	r := v.report
	switch {
	case v.tree.size < r.To:
		r.addf("the export ends at index %d and says that it goes to %d: its tail was cut, or entries were taken out", v.tree.size, r.To)
	case v.tree.size > r.To:
		r.addf("the export ends at index %d and says that it goes to %d: entries were added", v.tree.size, r.To)
	}
	c, err := v.key.Open(e.Checkpoint)
	if err != nil {
		r.addf("the newest checkpoint: %s", pki.DetailOf(err))
	} else {
		r.Size, r.Root, r.Signed = c.Size, c.Root.String(), c.Time
		v.newest = &c
		v.prove(c, e)
	}
}

// prove holds the newest checkpoint against the tree of the entries.
func (v *verifier) prove(c Checkpoint, e *End) {
	p := e.Consistency
	root := v.tree.root()
	switch {
	case p.From == v.report.To && p.To == c.Size && v.tree.size != v.report.To: // entries are missing, or too many: said already
	case p.From != v.tree.size || p.To != c.Size || p.From > p.To:
		v.report.addf("the newest checkpoint has %d entries, and the export's proof goes from %d to %d", c.Size, p.From, p.To)
	case p.From == 0 && root == (&edge{}).root(): // an empty tree begins every other
	case p.Verify(root, c.Root) != nil:
		v.report.addf("the entries up to index %d are not those of the newest checkpoint, of %s; %s", p.From-1, rfc3339(c.Time), v.soundUpTo())
	}
}
