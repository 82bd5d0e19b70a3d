package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"github.com/pando-pki/pando/internal/pki"
)

// NewTarGz returns a reader of a tar archive (POSIX pax and ustar, GNU) in one
// gzip member (RFC 1952), as a stream. It reads r to its end: what follows the
// archive, and an archive without its end, are refused.
func NewTarGz(r io.Reader, l Limits) Reader {
	t := &tarGz{meter: meter{Limits: l}, packed: packed{r: r}, seen: NewNames()}
	t.in = bufio.NewReaderSize(&t.packed, 64<<10)
	return t
}

type tarGz struct {
	meter
	packed packed
	in     *bufio.Reader // of packed
	gzip   *gzip.Reader  // of in; nil before the first entry
	tar    *tar.Reader   // of this, which counts
	zeros  int64         // octets of zero that were unpacked last
	over   error         // the limit that was met: archive/tar may hide it
	seen   *Names
	buf    bytes.Buffer
	done   bool
}

// packed counts what comes from outside, and keeps its fault.
type packed struct {
	r     io.Reader
	count int64
	err   error
}

// Read reads a part.
func (p *packed) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.count += int64(n)
	if err != io.EOF {
		p.err = err
	}
	return n, err
}

// Read unpacks a part.
func (t *tarGz) Read(b []byte) (int, error) {
	if t.over != nil {
		return 0, t.over
	}
	n, err := t.gzip.Read(b)
	if t.over = t.unpack(int64(n), t.packed.count); t.over != nil {
		return 0, t.over
	}
	end := len(bytes.TrimRight(b[:n], "\x00"))
	if end > 0 {
		t.zeros = 0
	}
	t.zeros += int64(n - end)
	return n, err
}

// Next implements Reader.
func (t *tarGz) Next() (*Entry, error) {
	if t.done {
		return nil, io.EOF
	}
	if t.gzip == nil {
		if err := t.begin(); err != nil {
			return nil, err
		}
	}
	for {
		h, err := t.tar.Next()
		if err == io.EOF {
			t.done = true
			return nil, t.end()
		}
		if err == nil {
			err = t.entry()
		}
		if err != nil {
			return nil, t.fault(err)
		}
		e, err := t.read(h)
		if err != nil {
			return nil, t.fault(err)
		}
		if e != nil {
			return e, nil
		}
	}
}

func (t *tarGz) begin() error {
	var err error
	if t.gzip, err = gzip.NewReader(t.in); err != nil {
		if t.packed.err != nil {
			return t.packed.err
		}
		return pki.Because(pki.Malformed, err, "it is not gzip")
	}
	t.gzip.Multistream(false)
	t.tar = tar.NewReader(t)
	return nil
}

// read reads one entry; nil where it is passed over.
func (t *tarGz) read(h *tar.Header) (*Entry, error) {
	e := &Entry{Name: h.Name}
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil, nil
	case tar.TypeReg:
		if junk(h.Name) {
			return nil, nil
		}
	case tar.TypeLink, tar.TypeSymlink:
		e.Problem = "it is a link"
		return e, nil
	default:
		e.Problem = "it is not a plain file"
		return e, nil
	}
	switch e.Problem = checkName(h.Name); {
	case e.Problem != "":
	case h.Size > t.Entry:
		e.Problem = t.tooLarge(uint64(h.Size))
	case !t.seen.Add(h.Name):
		e.Problem = "its name stood in the archive before, and only the first is taken"
	default:
		t.buf.Reset()
		if _, err := t.buf.ReadFrom(t.tar); err != nil {
			return nil, err
		}
		e.Content = t.buf.Bytes()
	}
	return e, nil
}

// The two blocks of zeros that end a tar archive, and how many may follow as
// padding, in octets.
const (
	tarEnd     = 2 * 512
	tarPadding = 1 << 20
)

// end reads what follows the last entry: io.EOF where that is as it should be. An
// archive whose end is missing may have lost entries.
func (t *tarGz) end() error {
	for buf := make([]byte, 4096); ; {
		n, err := t.Read(buf)
		switch {
		case t.zeros < int64(n) || t.zeros > tarPadding:
			return malformed("there is something after the end of the tar archive")
		case err == nil:
			continue
		case err != io.EOF:
			return t.fault(err)
		case t.zeros < tarEnd:
			return malformed("the tar archive has no end: it was cut off")
		}
		break
	}
	_, err := t.in.Peek(1)
	switch {
	case t.packed.err != nil:
		return t.packed.err
	case err == nil:
		return malformed("there is something after the gzip member: pack all of it as one")
	}
	return io.EOF
}

// fault tells a fault of the source from one of the archive.
func (t *tarGz) fault(err error) error {
	switch {
	case t.packed.err != nil:
		return t.packed.err
	case t.over != nil:
		return t.over
	case pki.KindOf(err) == pki.Malformed:
		return err
	case t.entries == 0 && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader)):
		return malformed("what gzip unpacks to is no tar archive, or the header of its first file is damaged or cut off")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("the archive was cut off")
	}
	return pki.Because(pki.Malformed, err, "the archive is damaged after entry %d", t.entries)
}
