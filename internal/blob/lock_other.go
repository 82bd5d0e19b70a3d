//go:build !unix

package blob

import (
	"errors"
	"os"
)

var errLocked = errors.New("locked")

// lock refuses: without a lock two writers at once could move a pointer back.
func lock(*os.File) error { return errors.ErrUnsupported }
