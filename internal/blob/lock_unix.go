//go:build unix

package blob

import (
	"os"
	"syscall"
)

// errLocked is what lock returns while somebody else holds the lock.
const errLocked = syscall.EWOULDBLOCK

// lock locks a directory against other writers until it is closed. It does not
// wait.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
