//go:build system

package s3server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// binary returns the path of versitygw in Go's build cache.
var binary = sync.OnceValues(build)

// build has Go build versitygw, or find what was built. The lock has the tests of
// packages that run at the same time not do the same work.
func build() (path string, err error) {
	folder, err := output("go", "list", "-f", "{{.Dir}}", "github.com/pando-pki/pando/internal/pandotest/s3server")
	if err != nil {
		return "", err
	}
	module := filepath.Join(strings.TrimSpace(folder), "versitygw")
	lock, err := os.Open(module)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", module, err)
	}
	path, err = output("go", "-C", module, "tool", "-n", "versitygw")
	return strings.TrimSpace(path), err
}

// output returns what a command says.
func output(name string, args ...string) (string, error) {
	var said strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", cmd, err, said.String())
	}
	return string(out), err
}
