package ceremony

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// The acts and the steps of one, as they stand in a journal. The acts besides these
// two are KindCertificate and KindCRL.
const (
	actRoot    = "root"
	actLink    = "link"   // a root's key under another root's (RFC 9810, 4.4)
	stepIntent = "intent" // synced before the key is used
	stepDone   = "done"   // synced before the result leaves
)

// An entry is one line of a root's journal: a JSON object. The journal begins
// with the root's own making; each line holds the SHA-256 of the one before it.
// An intent without its done was cut short: whether its signature was made is
// not known, and it never left.
type entry struct {
	N        int64     `json:"n"` // from 1
	At       time.Time `json:"at"`
	Mode     pki.Mode  `json:"mode"`
	Act      string    `json:"act"`
	Step     string    `json:"step"`
	Subject  string    `json:"subject,omitzero"` // of a certificate
	Serial   string    `json:"serial,omitzero"`
	Number   int64     `json:"number,omitzero"`  // of a CRL
	TBS      []byte    `json:"tbs,omitzero"`     // of an intent: what the key is to sign, whole
	Request  string    `json:"request,omitzero"` // SHA-256 of the request, hex; "" of the making of a root that follows no other
	Result   string    `json:"result,omitzero"`  // of a done: SHA-256 of what was signed, hex
	Signed   []byte    `json:"signed,omitzero"`  // of a done: what was signed, whole, to be had again
	Previous string    `json:"previous"`         // SHA-256 of the line before, hex; "" in the first
}

// maxLine bounds one line: the intent of the longest CRL that a request of
// maxFile can ask for is shorter.
const maxLine = maxFile

// ending is by how much a done may be longer than its intent: a signature and two
// hashes.
const ending = 4096

// A chain is what a journal says, read from its first line to its last.
type chain struct {
	rootTBS []byte // of the first line
	follows string // of the first line: SHA-256 of the request that the root was made for
	made    []byte // the root's certificate, nil until its making is done
	last    entry  // without TBS and Signed
	hash    string // SHA-256 of the last line, hex
	number  int64  // the highest CRL number that was intended

	signed map[string]time.Time // when each request was signed, by its hash
	links  map[string][]byte    // the links that were signed, by the hash of their request

	seek  string // the request whose last answer is wanted
	found []byte // that answer: what was signed, whole
}

// follow checks that line is the chain's next and moves the chain on.
func (c *chain) follow(line []byte) error {
	var e entry
	if err := json.Unmarshal(line, &e, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("it is not an entry: %w", err)
	}
	switch {
	case e.N != c.last.N+1 || e.Previous != c.hash:
		return errors.New("it does not follow the line before it")
	case e.N > 1 && e.Mode != c.last.Mode || e.Mode != pki.Production && e.Mode != pki.Test:
		return errors.New("its mode is not the root's")
	case e.At.Before(c.last.At):
		return errors.New("it is older than the line before it")
	case (e.N == 1) != (e.Act == actRoot && e.Step == stepIntent):
		return errors.New("the root's making stands in the first line and nowhere else")
	case e.Act != actRoot && e.Act != actLink && e.Act != KindCertificate && e.Act != KindCRL:
		return errors.New("its act is unknown")
	case e.Step != stepIntent && (e.Step != stepDone || c.last.Step != stepIntent || c.last.Act != e.Act):
		return errors.New("it ends an act that the line before it does not begin")
	case e.Step == stepDone && e.Request != c.last.Request:
		return errors.New("it ends the act of another request")
	case e.Signed != nil && sha256Hex(e.Signed) != e.Result:
		return errors.New("what it says was signed has not the SHA-256 that it says")
	case e.Step == stepIntent && e.Act == KindCRL && e.Number <= c.number:
		return errors.New("its CRL number is not above the earlier ones")
	}
	if e.N == 1 {
		c.rootTBS, c.follows = e.TBS, e.Request
	}
	c.number = max(c.number, e.Number)
	if e.Step == stepDone {
		c.end(&e)
	}
	e.TBS, e.Signed = nil, nil
	c.last, c.hash = e, sha256Hex(line)
	return nil
}

// end takes note of an act that is done.
func (c *chain) end(e *entry) {
	switch e.Act {
	case actRoot:
		c.made = e.Signed
	case actLink:
		if c.links == nil {
			c.links = make(map[string][]byte)
		}
		c.links[e.Request] = e.Signed
	default:
		if c.signed == nil {
			c.signed = make(map[string]time.Time)
		}
		c.signed[e.Request] = e.At
		if e.Request == c.seek {
			c.found = e.Signed
		}
	}
}

// line returns the line that e becomes as the chain's next, with its line end.
func (c *chain) line(e entry) ([]byte, error) {
	e.N, e.Previous = c.last.N+1, c.hash
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	longest := maxLine
	if e.Step == stepIntent {
		longest -= ending // its end has to have room too
	}
	if len(b) >= longest {
		return nil, pki.Errorf(pki.Malformed, "what is to be signed is longer than a line of the journal can be")
	}
	return append(b, '\n'), nil
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// errCutOff is the error of a journal whose last line has no end.
var errCutOff = errors.New("the last line is cut off")

// readChain reads a journal. A break is a Conflict that names the line.
func readChain(r io.Reader) (*chain, error) {
	c := new(chain)
	return c, c.read(r)
}

// read reads a journal from its first line to its last.
func (c *chain) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, errCutOff
		}
		return 0, nil, nil
	})
	for lines.Scan() {
		if err := c.follow(lines.Bytes()); err != nil {
			return pki.Because(pki.Conflict, err, "the journal is broken at line %d; compare it with its copies before this root signs again", c.last.N+1)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, errCutOff):
		return pki.Errorf(pki.Conflict, "the journal's line %d is cut off, as by a loss of power while it was written; nothing that it speaks of has left: remove what there is of that line", c.last.N+1)
	case errors.Is(err, bufio.ErrTooLong):
		return pki.Errorf(pki.Conflict, "the journal's line %d is longer than %d MiB", c.last.N+1, maxLine>>20)
	case err != nil:
		return fmt.Errorf("read journal: %w", err)
	case c.last.N == 0:
		return pki.Errorf(pki.Conflict, "the journal is empty")
	}
	return nil
}

// A journal is a root's journal, open and locked against other processes.
type journal struct {
	file *os.File
	*chain
}

// createJournal begins a journal with its first entry, synced.
func createJournal(path string, first entry) error {
	line, err := new(chain).line(first)
	if err != nil {
		return err
	}
	err = keystore.CreateFile(path, line)
	if pki.KindOf(err) == pki.Conflict {
		return pki.Errorf(pki.Conflict, "%s exists without its sealed file: it is of a root whose making was cut short, and whose key was not kept. Move it away", path)
	}
	return err
}

// openJournal opens a journal, locks it and reads it.
func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, pki.Because(pki.NotFound, err, "%s is missing: a sealed root signs only beside its journal", path)
	case err != nil:
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, pki.Because(pki.Conflict, err, "%s is in use: another act is under way", path)
	}
	c, err := readChain(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &journal{file: f, chain: c}, nil
}

// append adds an entry and syncs it. After an error the journal must not be
// appended to any more: what reached the disk is unknown.
func (j *journal) append(e entry) error {
	line, err := j.line(e)
	if err != nil {
		return err
	}
	// The writer keeps its own rules, so that it never writes what it would not
	// read.
	if err := j.follow(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	if _, err := j.file.Write(line); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	return nil
}

// close closes and unlocks the journal. All of it is synced already.
func (j *journal) close() { j.file.Close() }
