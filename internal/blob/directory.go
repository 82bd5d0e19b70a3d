package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// lockRetry is how often a lock that somebody else holds is tried again.
const lockRetry = 5 * time.Millisecond

// A Directory keeps each object in a file under one directory, for instance one
// that a web server serves or that is copied to other hosts. Its methods are safe
// for concurrent use, also by several processes.
//
// A write is in a temporary file first, whose name begins with a dot, is synced,
// and gets its name at once; then the directory is synced. Files have mode 0644
// and directories 0755, less the umask.
type Directory struct{ path string }

// OpenDirectory returns the directory with the given path, which must be there: it
// is not made, since a volume that is not mounted would then be filled beneath its
// mount point. It is opened anew for each use, so that it may be mounted later.
func OpenDirectory(path string) *Directory { return &Directory{path: path} }

// String returns the path.
func (d *Directory) String() string { return d.path }

// Kind says what objects are in, to those who are not to see where it is.
func (d *Directory) Kind() string { return "directory" }

// Create writes an object that never changes, and returns when it is durable. One
// that is there with the same content is left alone; with other content it is
// Conflict. The content type is what the file's name says.
func (d *Directory) Create(ctx context.Context, name string, content []byte, _ string) error {
	return d.locked(ctx, name, func(root *os.Root) error {
		have, err := readFile(root, name, MaxObject)
		switch {
		case err == nil && bytes.Equal(have, content):
			return syncFile(root, path.Dir(name)) // whoever wrote it may not have come so far
		case err == nil:
			return errOther(name)
		case pki.KindOf(err) != pki.NotFound:
			return err
		}
		return write(root, name, content)
	})
}

// Replace writes an object whose version is the given one, and returns the new
// version when it is durable; "" stands for an object that is not there. It is
// Conflict where the version is another.
func (d *Directory) Replace(ctx context.Context, name, version string, content []byte, _ string) (string, error) {
	err := d.locked(ctx, name, func(root *os.Root) error {
		have, err := readFile(root, name, MaxObject)
		if pki.KindOf(err) == pki.NotFound {
			err = nil
		}
		switch {
		case err != nil:
			return err
		case versionOf(have) != version:
			return errMoved(name)
		}
		return write(root, name, content)
	})
	if err != nil {
		return "", err
	}
	return versionOf(content), nil
}

// Read returns an object and its version; NotFound where there is none, Malformed
// where it is longer than limit, Conflict where it alone cannot be read: the server may
// not, or it is no file.
func (d *Directory) Read(_ context.Context, name string, limit int64) (content []byte, version string, err error) {
	if err := checkName(name); err != nil {
		return nil, "", err
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, "", d.failed(err)
	}
	defer root.Close()
	if content, err = readFile(root, name, limit); err != nil {
		return nil, "", d.failed(err)
	}
	return content, versionOf(content), nil
}

// Remove removes an object; one that is not there is no error.
func (d *Directory) Remove(ctx context.Context, name string) error {
	return d.locked(ctx, name, func(root *os.Root) error {
		if err := root.Remove(name); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		return syncFile(root, path.Dir(name))
	})
}

// locked calls f with the directory while nobody else writes into it.
func (d *Directory) locked(ctx context.Context, name string, f func(*os.Root) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return d.failed(err)
	}
	defer root.Close()
	itself, err := root.Open(".")
	if err != nil {
		return d.failed(err)
	}
	defer itself.Close() // gives the lock back
	for {
		err := lock(itself)
		if err == nil {
			return d.failed(f(root))
		}
		if !errors.Is(err, errLocked) {
			return d.failed(fmt.Errorf("lock: %w", err))
		}
		select {
		case <-ctx.Done():
			return pki.Because(pki.Unavailable, fmt.Errorf("%s: %w", d.path, ctx.Err()), "another process holds the lock of the directory")
		case <-time.After(lockRetry):
		}
	}
}

// failed gives an error of the file system its kind, and shows what the system says of
// it: where the directory is, only the cause says, since tenants are told of what fails.
func (d *Directory) failed(err error) error {
	if err == nil || pki.KindOf(err) != pki.Internal {
		return err
	}
	says := "the server's log says why"
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		says = no.Error()
	}
	return pki.Because(pki.Unavailable, fmt.Errorf("%s: %w", d.path, err), "the directory cannot be used: %s", says)
}

// versionOf returns what names a content: its hash, so that nothing else need be
// kept; "" for none.
func versionOf(content []byte) string {
	if content == nil {
		return ""
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// readFile reads a file: NotFound where there is none, Malformed where it is longer than
// limit, Conflict where something else is there or the file alone cannot be opened.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe would wait for who writes to it
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNone(name)
	case errors.Is(err, fs.ErrPermission):
		return nil, pki.Because(pki.Conflict, err, "%s may not be read", name)
	case err != nil:
		if info, _ := root.Lstat(name); info != nil && info.Mode().Type() != 0 { // a link that leads out, a socket
			return nil, pki.Because(pki.Conflict, err, "%s is not a file", name)
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, pki.Errorf(pki.Conflict, "%s is not a file", name)
	}
	if err := checkSize(name, info.Size(), limit); err != nil {
		return nil, err
	}
	content := make([]byte, info.Size())
	if _, err := io.ReadFull(f, content); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}

// write puts content under the name. The caller holds the lock, so that a file of
// the temporary name is what a crash left.
func write(root *os.Root, name string, content []byte) (err error) {
	if err := checkSize(name, int64(len(content)), MaxObject); err != nil {
		return err
	}
	dir, base := path.Split(name)
	if err := makeDirs(root, path.Clean(dir)); err != nil {
		return err
	}
	temporary := dir + "." + base + ".tmp"
	if err := root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close() // again, perhaps; what led here says more
			root.Remove(temporary)
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := root.Rename(temporary, name); err != nil {
		return err
	}
	return syncFile(root, path.Clean(dir))
}

// makeDirs makes a directory and those above it, each durable in its parent.
func makeDirs(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	switch err := root.Mkdir(dir, 0o755); {
	case err == nil:
		return syncFile(root, path.Dir(dir))
	case errors.Is(err, fs.ErrExist):
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := makeDirs(root, path.Dir(dir)); err != nil {
		return err
	}
	return makeDirs(root, dir)
}

// syncFile makes what a file or the names in a directory hold durable.
func syncFile(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
