//go:build !unix

package ceremony

import (
	"errors"
	"os"
)

// lock refuses: without a lock two acts at once could break the journal.
func lock(*os.File) error { return errors.ErrUnsupported }
