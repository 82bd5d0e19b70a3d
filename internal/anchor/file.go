// Package anchor hands the checkpoints of the logs to places outside the store: a
// directory, an HTTP service, a bucket. What is there cannot be changed by whoever
// changes the store alone; that is all that it is for.
package anchor

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pando-pki/pando/internal/audit"
)

// A File appends the checkpoints of each log to a file of its own in a directory.
// Such a file is what 'pando audit verify --since' takes.
type File struct {
	dir   string
	mu    sync.Mutex       // one is written at a time
	sizes map[string]int64 // guarded by mu: of the files, as they were last read or written
	lost  atomic.Bool
}

// NewFile returns the anchor in a directory, which it makes, with mode 0700, where
// it is not there but the directory above it is: a volume that is not mounted is
// not written beneath.
func NewFile(dir string) *File { return &File{dir: dir, sizes: make(map[string]int64)} }

// Name implements auditlog.Anchor.
func (f *File) Name() string { return "file " + f.dir }

// suffix ends the names of the files.
const suffix = ".checkpoints"

// path returns the file of a log: its origin, with its slashes as dots.
func (f *File) path(origin string) string {
	return filepath.Join(f.dir, strings.ReplaceAll(origin, "/", ".")+suffix)
}

// Lost implements auditlog.Keeper: it was seen when a checkpoint was put.
func (f *File) Lost() bool {
	return f.lost.Load() // without a wait for who writes to a disk that does not answer
}

// Put implements auditlog.Anchor. It returns once the checkpoint is on the disk.
func (f *File) Put(_ context.Context, note string) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.Mkdir(f.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	origin, _, _ := strings.Cut(note, "\n")
	path := f.path(origin)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.sizes[path] { // it is new, or was cut
		f.lost.Store(true)
	}
	text := note + "\n"
	if whole, err := endsWhole(file); err != nil {
		return err
	} else if !whole { // a write that was cut off
		text = "\n\n" + text
	}
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	f.sizes[path] = info.Size() + int64(len(text))
	return syncDir(f.dir)
}

// endsWhole reports whether a file is empty or ends as Put leaves it.
func endsWhole(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return true, err
	}
	end := make([]byte, min(2, info.Size()))
	_, err = f.ReadAt(end, info.Size()-int64(len(end)))
	return string(end) == "\n\n", err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tail is how much of the end of a file is read for its newest checkpoint, in bytes:
// more than any two.
const tail = 64 << 10

// Newest implements auditlog.Reader: it reads whatever files there are.
func (f *File) Newest(_ context.Context, _ string, _ []string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(f.dir, "*"+suffix))
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var notes []string
	for _, name := range names {
		text, size, err := readTail(name)
		if err != nil {
			return nil, err
		}
		f.sizes[name] = max(f.sizes[name], size)
		if all := audit.SplitNotes(text); len(all) > 0 {
			notes = append(notes, all[len(all)-1])
		}
	}
	return notes, nil
}

// readTail returns the end of a file, and how long the file is.
func readTail(path string) (text string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	from := max(0, info.Size()-tail)
	end, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	return string(end), info.Size(), err
}
