package keystore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pando-pki/pando/internal/pki"
)

// CreateFile writes a new file that only its owner can read, mode 0600, and
// returns when file and directory entry are synced. A path that exists is
// Conflict and left as it is.
func CreateFile(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return pki.Because(pki.Conflict, err, "%s exists; it is not overwritten", path)
	case errors.Is(err, fs.ErrNotExist):
		return pki.Because(pki.NotFound, err, "%s: there is no such directory", filepath.Dir(path))
	case err != nil:
		return err
	}
	defer func() {
		if err != nil {
			// A half-written secret must not pass for a whole one. Both errors
			// below say less than the one that led here.
			f.Close()
			os.Remove(path)
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
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
