package audit

import (
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/strictjson"
)

// An export is lines of JSON: a header, then entries in order of index, with the
// checkpoints that were handed to anchors where their trees end, and an end. Each
// line is an object with one member that says what it is. Nothing but the file is
// needed to make every leaf anew and with it the tree (see Verify).

// ExportFormat is the format of the exports that this package writes and reads.
const ExportFormat = "pando-log-export/1"

// A Header begins an export.
type Header struct {
	Format string      `json:"format"`
	Origin string      `json:"origin"`
	Key    string      `json:"key"`
	From   int64       `json:"from"` // index of the first entry
	To     int64       `json:"to"`   // index after the last
	Edge   []tlog.Hash `json:"edge"` // of the tree of the entries before
}

// An Entry is a leaf with its place.
type Entry struct {
	Index int64 `json:"index"`
	Leaf
	// Logged is the hash under which it was logged, where the leaf is not that: its
	// row was changed, or is gone. Nil where all is well.
	Logged *tlog.Hash `json:"logged_hash,omitempty"`
	// Archive names the archive from which the leaf is, where its row is not in the
	// store any more. It proves nothing: the leaf is held against the log all the
	// same.
	Archive string `json:"archive,omitempty"`
}

// An Archived is what an archive has of a certificate in the log.
type Archived struct {
	Archive     string
	Certificate *CertificateLeaf // nil where the archive cannot be read
}

// An End ends an export: the log's newest checkpoint, and the proof that its tree
// begins with what was exported.
type End struct {
	Checkpoint  string      `json:"checkpoint"`
	Consistency Consistency `json:"consistency"`
}

// Time returns when what the entry tells of was done.
func (e *Entry) Time() time.Time {
	switch {
	case e.Certificate != nil:
		return e.Certificate.Issued
	case e.Event != nil:
		return e.Event.At
	case e.Revocation != nil:
		return e.Revocation.At
	}
	return time.Time{}
}

// ReadEntry reads a line of an export; nil where it is not an entry's.
func ReadEntry(text []byte) (*Entry, error) {
	var l line
	err := strictjson.Unmarshal(text, &l)
	return l.Entry, err
}

// A line is one line of an export; one field is set.
type line struct {
	Header     *Header `json:"header,omitempty"`
	Entry      *Entry  `json:"entry,omitempty"`
	Checkpoint string  `json:"checkpoint,omitempty"`
	End        *End    `json:"end,omitempty"`
}

// A Writer writes an export.
type Writer struct{ to io.Writer }

// NewWriter begins an export.
func NewWriter(to io.Writer, h Header) (*Writer, error) {
	h.Format = ExportFormat
	w := &Writer{to}
	return w, w.write(line{Header: &h})
}

// Entry writes an entry.
func (w *Writer) Entry(e *Entry) error { return w.write(line{Entry: e}) }

// Checkpoint writes a checkpoint whose tree ends with the entry before.
func (w *Writer) Checkpoint(note string) error { return w.write(line{Checkpoint: note}) }

// End ends the export.
func (w *Writer) End(e End) error { return w.write(line{End: &e}) }

func (w *Writer) write(l line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	_, err = w.to.Write(append(text, '\n'))
	return err
}
