//go:build system

package acceptance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pando-pki/pando/internal/pandotest"
)

// binaryVariable names the pando that is tested to all tests of a run.
const binaryVariable = "PANDO_TEST_BINARY"

func TestMain(m *testing.M) {
	status, err := runWithBinary(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// runWithBinary builds pando into a directory of its own and runs the tests.
func runWithBinary(m *testing.M) (status int, err error) {
	dir, err := os.MkdirTemp("", "pando-acceptance-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "pando")
	build := exec.Command("go", "build", "-o", path, "github.com/pando-pki/pando/cmd/pando")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building pando: %w\n%s", err, out)
	}
	if err := os.Setenv(binaryVariable, path); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// seeded returns the source of a test's chance, and prints its seed.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	return pandotest.Seeded(t)
}
