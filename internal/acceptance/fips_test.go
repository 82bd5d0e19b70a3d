//go:build system

package acceptance

import (
	"path/filepath"
	"testing"
)

// TestFIPSOnly makes a deployment, whose ceremony seals its root by age, and then
// serves it with nothing but the algorithms that FIPS 140-3 approves: it enrols,
// answers, publishes and is checked, all in that mode.
func TestFIPSOnly(t *testing.T) {
	h := prepareHouse(t)
	h.quickstart(t)
	h.stop(t)

	t.Setenv("GODEBUG", "fips140=only")
	refused(t, pando(t, "ceremony", "root", "--common-name", "X", "--organization", "Y", "--mode", "test",
		"--out", filepath.Join(t.TempDir(), "root.sealed"), "--certificate", filepath.Join(t.TempDir(), "root.pem"), "--passphrase-file", filepath.Join(h.dir, "ceremony", "root.passphrase"), "--yes"), "GODEBUG=fips140=on")
	h.quickstart(t)
	acknowledged := filepath.Join(t.TempDir(), "acknowledged.ndjson")
	if out := pando(t, "--quickstart", h.dir, "simulate", "plant", "--endpoint", "meter", "--devices", "100", "--prefix", "FIPS-", "--acknowledged", acknowledged); out.status != 0 {
		t.Fatalf("simulate plant: %s", out.stderr)
	}
	t.Run("crl", func(t *testing.T) { testCRL(t, h) })
	t.Run("ocsp", func(t *testing.T) { testOCSP(t, h) })
	t.Run("tls", func(t *testing.T) { testTLS(t, h) })
	t.Run("rest", func(t *testing.T) { testREST(t, h) })
	h.stop(t)
	h.check(t, acknowledged)
}
