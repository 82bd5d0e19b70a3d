//go:build unix

package ceremony

import (
	"os"
	"syscall"
)

// lock locks a file against other processes until it is closed. It does not
// wait.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
