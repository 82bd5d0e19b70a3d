package sqlstore

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pando-pki/pando/internal/pki"
)

// takeLock locks the database at path against every other Store, by an flock on
// a file beside it, and returns that file: the lock ends when it is closed, and
// with the process at the latest. SQLite's own locks would let two processes
// write in turn, each with numbers in memory that the other does not know.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, pki.Errorf(pki.Conflict, "%s is in use by another pando: stop that one first, or ask it over its API instead of opening its data", path)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return f, nil
}
