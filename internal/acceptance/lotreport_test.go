//go:build system

package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLotReportByOpenSSL: openssl alone verifies a lot's report, as the operator's
// page says.
func TestLotReportByOpenSSL(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	dir := t.TempDir()
	report, key := filepath.Join(dir, "lot.report"), filepath.Join(dir, "lot-reports.key")
	for _, args := range [][]string{
		{"simulate", "csrs", "--devices", "2", "--prefix", "LR-", "--out", filepath.Join(dir, "lot.pem")},
		{"--quickstart", h.dir, "batch", "submit", filepath.Join(dir, "lot.pem"), "--endpoint", "meter", "--lot", "lot-report", "--wait"},
		{"--quickstart", h.dir, "lot", "close", "lot-report", "--yes", "--out", report},
	} {
		if out := pando(t, args...); out.status != 0 {
			t.Fatalf("%v: %s", args, out.stderr)
		}
	}
	out := pando(t, "--quickstart", h.dir, "lot", "report", "key")
	writeFile(t, dir, "lot-reports.key", []byte(out.stdout))

	// From docs/operator/batches.md.
	script := `set -e
sed '/^$/,$d' lot.report > text
tail -1 lot.report | cut -d' ' -f3 | base64 -d | tail -c +5 > signature
(printf '\060\052\060\005\006\003\053\145\160\003\041\000'; cut -d+ -f3- lot-reports.key | base64 -d | tail -c +2) > key.der
openssl pkeyutl -verify -rawin -in text -sigfile signature -pubin -keyform DER -inkey key.der`
	if out := run(t, dir, "sh", "-c", script); out.status != 0 || !strings.Contains(out.stdout, "Signature Verified Successfully") {
		t.Errorf("openssl: %s%s", out.stdout, out.stderr)
	}
	docs, err := os.ReadFile("../../docs/operator/batches.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "set -e" && !strings.Contains(string(docs), strings.ReplaceAll(line, "lot.report", "lot-7.report")) {
			t.Errorf("docs/operator/batches.md has no line %q", line)
		}
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(text), `"issued": 2`, `"issued": 3`, 1)
	writeFile(t, dir, "bad.report", []byte(bad))
	if out := pando(t, "lot", "report", "verify", filepath.Join(dir, "bad.report"), "--key", key); out.status == 0 {
		t.Error("a changed report is accepted")
	}
}
