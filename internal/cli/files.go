package cli

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readInput reads a whole file of at most limit bytes; "-" is standard input.
func (c *console) readInput(path string, limit int64) ([]byte, error) {
	r := c.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, limit)
	}
	return b, nil
}

// writeOutput writes a whole new file, or standard output where path is "" or
// "-". A file that is there is never replaced.
func (c *console) writeOutput(path string, b []byte) error {
	return c.writeStream(path, bytes.NewReader(b))
}

// writeStream is writeOutput of what r has. Where that breaks off, no file
// remains.
func (c *console) writeStream(path string, r io.Reader) error {
	if path == "" || path == "-" {
		_, err := io.Copy(c.out, r)
		return err
	}
	f, err := createNew(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// An output is a new file that is there, empty, before what cannot be undone is
// done to fill it; or standard output.
type output struct {
	c       *console
	file    *os.File // nil is standard output
	written bool
}

// reserve creates the file that an act's result is to be written to; "-" is
// standard output. The caller drops it at the end.
func (c *console) reserve(path string) (*output, error) {
	if path == "-" {
		return &output{c: c}, nil
	}
	f, err := createNew(path)
	return &output{c: c, file: f}, err
}

// write writes the whole content, synced.
func (o *output) write(b []byte) error {
	if o.file == nil {
		_, err := o.c.out.Write(b)
		return err
	}
	_, err := o.file.Write(b)
	if err == nil {
		err = o.file.Sync()
	}
	o.written = err == nil
	return err
}

// drop closes the file, and removes it where it was not written whole.
func (o *output) drop() {
	if o.file == nil {
		return
	}
	o.file.Close() // what was written is synced
	if !o.written {
		os.Remove(o.file.Name())
	}
}

// createNew creates a file that is not there.
func createNew(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, isThere(path)
	}
	return f, err
}

// refuseExisting is what createNew would say, for those who have much to do
// before they write. An empty path is no file.
func refuseExisting(path string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return isThere(path)
	}
	return nil
}

func isThere(path string) error {
	return hintf(fmt.Errorf("%s is there already", path), "name another file, or move that one away")
}

// readPEM reads a file that is one PEM block of the given type, or its bare DER,
// and returns the DER.
func (c *console) readPEM(path, kind string, limit int64) ([]byte, error) {
	b, err := c.readInput(path, limit)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(b, []byte("-----BEGIN")) {
		return b, nil
	}
	block, rest := pem.Decode(b)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%s: the PEM block is broken", path)
	case block.Type != kind:
		return nil, fmt.Errorf("%s: it holds a %s, not a %s", path, block.Type, kind)
	case bytes.Contains(rest, []byte("-----BEGIN")):
		return nil, fmt.Errorf("%s: it holds more than one PEM block", path)
	}
	return block.Bytes, nil
}

// openInput opens a file to be streamed, or standard input for "-".
func (c *console) openInput(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(c.in), nil
	}
	return os.Open(path)
}
