package batch

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pando-pki/pando/internal/pki"
)

// The bounds of what a Spool holds, in bytes: one upload, and all files together.
const (
	maxArchive = 4 << 30
	maxSpool   = 8 << 30
)

// A Spool is a directory for what has to be read in another order than it comes
// in. Its files have no name from the moment they are made, so that they end with
// the process; what a system without such files leaves behind goes at the next
// start.
type Spool struct {
	dir string

	mu   sync.Mutex
	held int64 // bytes in all files
}

const spoolPrefix = "spool-"

// OpenSpool returns the Spool in a directory, which it makes and empties. The
// directory belongs to this process alone.
func OpenSpool(dir string) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), spoolPrefix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return &Spool{dir: dir}, nil
}

// A scratch is one file of a Spool, written at its end and read anywhere.
type scratch struct {
	spool *Spool
	file  *os.File
	name  string // "" where it has none any more
	limit int64
	size  int64
}

// create returns an empty file for up to limit bytes.
func (s *Spool) create(limit int64) (*scratch, error) {
	f, err := os.CreateTemp(s.dir, spoolPrefix)
	if err != nil {
		return nil, pki.Because(pki.Unavailable, err, "the server has no room for this now")
	}
	c := &scratch{spool: s, file: f, limit: limit}
	if os.Remove(f.Name()) != nil {
		c.name = f.Name()
	}
	return c, nil
}

// Write appends to the file.
func (c *scratch) Write(b []byte) (int, error) {
	if c.size+int64(len(b)) > c.limit {
		return 0, pki.Errorf(pki.Malformed, "it is larger than %d bytes", c.limit)
	}
	if !c.spool.reserve(int64(len(b))) {
		return 0, pki.Errorf(pki.Unavailable, "the server has as many archives in hand as it can hold; try again later")
	}
	c.size += int64(len(b))
	n, err := c.file.Write(b)
	if err != nil {
		err = pki.Because(pki.Unavailable, err, "the server has no room for this now")
	}
	return n, err
}

// ReadAt reads from the file.
func (c *scratch) ReadAt(b []byte, at int64) (int, error) { return c.file.ReadAt(b, at) }

// reader returns a reader of the whole file.
func (c *scratch) reader() io.Reader { return io.NewSectionReader(c.file, 0, c.size) }

// Close does away with the file.
func (c *scratch) Close() error {
	c.spool.reserve(-c.size)
	c.size = 0
	err := c.file.Close()
	if c.name != "" {
		err = errors.Join(err, os.Remove(c.name))
	}
	return err
}

// reserve takes n bytes of what all files together may have.
func (s *Spool) reserve(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held+n > maxSpool {
		return false
	}
	s.held += n
	return true
}
