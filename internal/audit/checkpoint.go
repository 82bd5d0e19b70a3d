package audit

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/pki"
)

// Origin names the log of a tenant of a deployment, or for pki.Platform that of
// the deployment itself. It is the first line of its checkpoints and the name of
// its key.
func Origin(deployment string, tenant pki.TenantID) string {
	if tenant == pki.Platform {
		return "pando/" + deployment + "/platform"
	}
	return "pando/" + deployment + "/tenant/" + string(tenant)
}

// A Checkpoint says what a log was at a moment. Signed, as a note, it has the form
// that C2SP calls tlog-checkpoint: origin, size and root on a line each, and as a
// line more the time.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Time   time.Time // to the second
}

// timePrefix begins the line with the time.
const timePrefix = "time "

// Text returns what is signed.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n%s%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]),
		timePrefix, c.Time.UTC().Format(time.RFC3339))
}

// parseCheckpoint reads what Text writes, and nothing else.
func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 {
		return c, pki.Errorf(pki.Malformed, "a checkpoint has four lines")
	}
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err == nil {
		c.Root, err = tlog.ParseHash(lines[2])
	}
	if err == nil {
		c.Time, err = time.Parse(timePrefix+time.RFC3339, lines[3])
	}
	if err != nil || c.Size < 0 || c.Text() != text {
		return Checkpoint{}, pki.Errorf(pki.Malformed, "the checkpoint's lines are not origin, size, root and time")
	}
	return c, nil
}

// maxNote bounds a signed checkpoint, in bytes.
const maxNote = 4 << 10

// Sign returns the checkpoint as a signed note.
func Sign(c Checkpoint, key note.Signer) (string, error) {
	text, err := note.Sign(&note.Note{Text: c.Text()}, key)
	return string(text), err
}

// A Key verifies the checkpoints of one log. Its text is a verifier key of package
// note: the origin, a hash, and the Ed25519 key.
type Key struct {
	text     string
	verifier note.Verifier
}

// ParseKey reads a verifier key.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	v, err := note.NewVerifier(text)
	if err != nil || len(text) > maxNote {
		return Key{}, pki.Errorf(pki.Malformed, "the log's verifier key cannot be read")
	}
	return Key{text, v}, nil
}

// NewKey returns the key of the log with the given origin, from its 32 bytes.
func NewKey(origin string, public []byte) (Key, error) {
	text, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		return Key{}, err
	}
	return ParseKey(text)
}

// String returns the key's text.
func (k Key) String() string { return k.text }

// Origin returns the origin of the key's log.
func (k Key) Origin() string { return k.verifier.Name() }

// Hash returns the hash that names the key in signatures.
func (k Key) Hash() uint32 { return k.verifier.KeyHash() }

// Open reads a checkpoint that the key has signed. The error says what is wrong
// with one that it has not.
func (k Key) Open(signed string) (Checkpoint, error) {
	if len(signed) > maxNote {
		return Checkpoint{}, pki.Errorf(pki.Malformed, "it is too long for a checkpoint")
	}
	n, err := note.Open([]byte(signed), note.VerifierList(k.verifier))
	if err != nil {
		return Checkpoint{}, pki.Because(pki.Malformed, err, "it has no valid signature by the log's key %s", k.text)
	}
	c, err := parseCheckpoint(n.Text)
	if err == nil && c.Origin != k.Origin() {
		err = pki.Errorf(pki.Malformed, "it is of the log %.100q, not of %s", c.Origin, k.Origin())
	}
	return c, err
}

// OpenKept is Open for a checkpoint that somebody kept. The error is BadProof where it
// is a checkpoint, and not one of the key's log.
func (k Key) OpenKept(signed string) (Checkpoint, error) {
	c, err := k.Open(signed)
	if err == nil {
		return c, nil
	}
	text, _, _ := strings.Cut(signed, "\n\n")
	if _, parse := parseCheckpoint(text + "\n"); parse != nil {
		return c, pki.Because(pki.Malformed, parse, "the older checkpoint cannot be read")
	}
	return c, pki.Errorf(pki.BadProof, "the older checkpoint is not one of this log and key: %s. The log was replaced, or they do not belong together", pki.DetailOf(err))
}

// SplitNotes returns the signed checkpoints in a text in which they follow each
// other, as in an anchor's file. One that is not whole, since its writing was cut
// off, is left out.
func SplitNotes(text string) []string {
	const mark = "\n\n" + signature // after a checkpoint's lines: an empty one, then the signature's
	var notes []string
	for {
		at := strings.Index(text, mark)
		if at < 0 {
			return notes
		}
		begin := strings.LastIndex(text[:at], "\n\n")
		if begin >= 0 {
			begin += 2
		}
		begin = max(begin, 0)
		end, whole := at+2, true
		for strings.HasPrefix(text[end:], signature) {
			line, _, ok := strings.Cut(text[end:], "\n")
			whole = whole && ok && isSignature(line)
			end = min(end+len(line)+1, len(text))
		}
		if whole {
			notes = append(notes, strings.TrimLeft(text[begin:end], "\n"))
		}
		text = text[end:]
	}
}

// signature begins a signature's line.
const signature = "\u2014 "

// isSignature reports whether a line is a whole Ed25519 signature, with the hash of
// its key.
func isSignature(line string) bool {
	fields := strings.Split(line, " ")
	if len(fields) != 3 {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(fields[2])
	return err == nil && len(b) == 4+64
}
