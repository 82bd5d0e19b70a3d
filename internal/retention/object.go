package retention

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// Format is the format of the objects that this package writes and reads: lines of
// JSON, compressed with gzip. The first line is a Header, each other one an Entry.
const Format = "pando-archive/1"

// The bounds of one archive. MaxContent is of what its certificates and requests
// have together, in bytes, before they are written.
const (
	MaxCertificates = 10_000
	MaxContent      = 32 << 20

	// maxLine bounds a line with its end. A certificate that needs a longer one is
	// not archived.
	maxLine = 1 << 20
	// maxText bounds the lines together: an entry adds little to its content but
	// base64.
	maxText = 256 << 20
	// maxObject bounds the object. Certificates do not get smaller than a
	// quarter, and a whole one is smaller than its text.
	maxObject = 128 << 20
)

// A Header begins an object.
type Header struct {
	Format       string       `json:"format"`
	Archive      ID           `json:"archive"`
	Tenant       pki.TenantID `json:"tenant"`
	Created      time.Time    `json:"created"`
	Before       time.Time    `json:"before"` // what all of them expired before
	Certificates int          `json:"certificates"`
}

// An Entry is a certificate with all that the store had of it alone. Its leaf is
// what the log's hash at Index was made of.
type Entry struct {
	Index   int64                 `json:"index"` // in the tenant's log
	Row     int64                 `json:"row"`   // in the store
	Leaf    audit.CertificateLeaf `json:"leaf"`
	DER     []byte                `json:"der"`
	Actor   string                `json:"actor,omitempty"`   // who asked for it, of a single request
	Request []byte                `json:"request,omitempty"` // DER of that request, or of its row of a batch
}

// Hash returns the hash of the entry's leaf.
func (e *Entry) Hash() tlog.Hash {
	leaf := audit.Leaf{Certificate: &e.Leaf}
	return leaf.Hash()
}

// An Object is an archive's content. The rows of its entries only grow.
type Object struct {
	Header
	Entries []Entry
}

// line returns a line of an object; PolicyRefused where Decode would not read it.
func line(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing an archive: %w", err)
	}
	if len(text) >= maxLine {
		return nil, pki.Errorf(pki.PolicyRefused, "it would be a line of %d bytes, and an archive has lines of less than %d", len(text), maxLine)
	}
	return append(text, '\n'), nil
}

// encode returns the object's bytes, which are the same each time.
func (o *Object) encode() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	write := func(v any) error {
		text, err := line(v)
		if err == nil {
			_, err = z.Write(text)
		}
		return err
	}
	err := write(&o.Header)
	for i := range o.Entries {
		if err == nil {
			err = write(&o.Entries[i])
		}
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("writing an archive: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads an object and sees that it is whole in itself: as many certificates
// as it says, each with the bytes that its leaf names. What is no such object is
// Malformed.
func Decode(content []byte) (*Object, error) {
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, pki.Errorf(pki.Malformed, "it is not an archive: it is not compressed with gzip")
	}
	lines := bufio.NewScanner(io.LimitReader(z, maxText))
	lines.Buffer(make([]byte, 64<<10), maxLine)
	o := new(Object)
	for number := 1; lines.Scan(); number++ {
		if err := o.line(number, lines.Bytes()); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, pki.Because(pki.Malformed, err, "the archive cannot be read to its end: it is damaged, or has a line of more than %d bytes", maxLine)
	}
	if o.Format == "" || len(o.Entries) != o.Certificates {
		return nil, pki.Errorf(pki.Malformed, "the archive says that it has %d certificates, and has %d", o.Certificates, len(o.Entries))
	}
	return o, nil
}

func (o *Object) line(number int, text []byte) error {
	if number == 1 {
		if err := strictjson.Unmarshal(text, &o.Header); err != nil {
			return pki.Errorf(pki.Malformed, "the archive's first line: %v", err)
		}
		if o.Format != Format || o.Certificates < 0 || o.Certificates > MaxCertificates {
			return pki.Errorf(pki.Malformed, "the archive has format %.60q and %d certificates; this pando reads %s with %d at most", o.Format, o.Certificates, Format, MaxCertificates)
		}
		return nil
	}
	if len(o.Entries) == o.Certificates {
		return pki.Errorf(pki.Malformed, "the archive has more than the %d certificates that it says", o.Certificates)
	}
	var e Entry
	if err := strictjson.Unmarshal(text, &e); err != nil {
		return pki.Errorf(pki.Malformed, "line %d of the archive: %v", number, err)
	}
	switch {
	case sha256.Sum256(e.DER) != e.Leaf.SHA256:
		return pki.Errorf(pki.Malformed, "line %d of the archive: the certificate's bytes are not those that its leaf names", number)
	case len(o.Entries) > 0 && o.Entries[len(o.Entries)-1].Row >= e.Row:
		return pki.Errorf(pki.Malformed, "line %d of the archive: row %d is out of order", number, e.Row)
	}
	o.Entries = append(o.Entries, e)
	return nil
}
