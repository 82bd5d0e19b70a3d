package ceremony_test

import (
	"crypto/fips140"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// oldRoot names a sealed root to the process that TestFIPSOnly starts.
const oldRoot = "PANDO_TEST_SEALED_ROOT"

// TestFIPSListed: what of the ceremony docs/operator/fips.md says is refused.
func TestFIPSListed(t *testing.T) {
	pandotest.FIPSOnly(t, "ceremony", map[string]func(t *testing.T){
		"root": func(t *testing.T) { newRoot(t) },
	})
}

// TestFIPSOnly: where nothing but approved algorithms may be used, a root is neither
// made nor opened, and nothing is written. The mode holds for a whole process, so
// that the test runs in one of its own.
func TestFIPSOnly(t *testing.T) {
	if !fips140.Enforced() {
		sealed, _ := newRoot(t)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPSOnly$")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only", oldRoot+"="+sealed)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	cfg := rootConfig(t, filepath.Join(t.TempDir(), "root.sealed"))
	_, err := ceremony.NewRoot(t.Context(), cfg)
	checkError(t, err, pki.Unavailable, "GODEBUG=fips140=on")
	for _, path := range []string{cfg.Sealed, cfg.Sealed + ".journal"} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
	request := crlRequest(&x509.Certificate{}, 1)
	_, err = ceremony.Sign(t.Context(), signConfig(os.Getenv(oldRoot), request))
	checkError(t, err, pki.Unavailable, "GODEBUG=fips140=on")
}
