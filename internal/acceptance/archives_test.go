//go:build system

package acceptance

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/simulate"
)

// TestArchivesOfOthers: what zip and tar make of a folder is a batch, with folders
// and links in it, with and without compression, as a file and as a stream.
func TestArchivesOfOthers(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	for i, c := range []struct {
		name    string
		command []string // in the folder above lot
		rows    int
	}{
		{"a.zip", []string{"zip", "-q", "-r", "a.zip", "lot"}, 3},
		{"b.zip", []string{"zip", "-q", "-r", "-0", "-z", "-X", "b.zip", "lot"}, 3},
		{"c.zip", []string{"sh", "-c", "zip -q -r - lot > c.zip"}, 3}, // with data descriptors
		{"d.zip", []string{"zip", "-q", "-r", "-y", "-fz", "d.zip", "lot"}, 3},
		{"a.tar.gz", []string{"tar", "-czf", "a.tar.gz", "lot"}, 3},
		{"b.tgz", []string{"tar", "--format=posix", "-czf", "b.tgz", "-C", "lot", "."}, 3},
		{"c.tgz", []string{"sh", "-c", "tar --format=v7 -cf - lot | gzip -9 > c.tgz"}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			lot := filepath.Join(dir, "lot", "morning")
			if err := os.MkdirAll(lot, 0o755); err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			device := func(n int) string { return fmt.Sprintf("A%d-%06d", i, n) }
			csrs := simulate.CSRs{Devices: simulate.Devices{Prefix: fmt.Sprintf("A%d-", i), First: 1, Count: 2}, Format: client.PEM}
			if err := simulate.WriteCSRs(t.Context(), &text, csrs); err != nil {
				t.Fatal(err)
			}
			rest := []byte(text.String())
			for n := 1; n <= 2; n++ {
				var block *pem.Block
				block, rest = pem.Decode(rest)
				writeFile(t, lot, device(n)+".csr", pem.EncodeToMemory(block))
			}
			if err := os.Symlink(device(1)+".csr", filepath.Join(lot, "link.txt")); err != nil {
				t.Fatal(err)
			}
			if out := run(t, dir, c.command[0], c.command[1:]...); out.status != 0 {
				t.Fatalf("%s: %s", c.command, out.stderr)
			}
			out := pando(t, "--quickstart", h.dir, "batch", "submit", filepath.Join(dir, c.name), "--endpoint", "meter", "--results", filepath.Join(dir, "results.ndjson"), "--json")
			results, err := os.ReadFile(filepath.Join(dir, "results.ndjson"))
			if err != nil {
				t.Fatalf("%v: %s", err, out.stderr)
			}
			if issued := strings.Count(string(results), `"status":"issued"`); issued != 2 || strings.Count(string(results), "\n") != c.rows {
				t.Errorf("%d issued:\n%s", issued, results)
			}
			for n := 1; n <= 2; n++ {
				if !strings.Contains(string(results), `"device":"`+device(n)+`","status":"issued"`) {
					t.Errorf("%s has no certificate", device(n))
				}
			}
			unzip(t, h, dir, out.stdout, device(1)+".pem", device(2)+".pem", "index.csv")
		})
	}
}

// unzip has unzip test the results of a batch, which is in JSON, and openssl verify
// its certificates.
func unzip(t *testing.T, h *house, dir, batch string, files ...string) {
	t.Helper()
	var b client.Batch
	if err := json.Unmarshal([]byte(batch), &b); err != nil {
		t.Fatal(err)
	}
	if out := pando(t, "--quickstart", h.dir, "batch", "results", b.ID, "--out", filepath.Join(dir, "results.zip")); out.status != 0 {
		t.Fatalf("batch results: %s", out.stderr)
	}
	if out := run(t, dir, "unzip", "-q", "results.zip", "-d", "out"); out.status != 0 {
		t.Fatalf("unzip: %s%s", out.stdout, out.stderr)
	}
	for _, name := range files {
		if _, err := os.Stat(filepath.Join(dir, "out", name)); err != nil {
			t.Error(err)
		}
	}
	options := []string{"-CAfile", h.file.Root, "-untrusted", h.file.Authorities["manufacturing"].Chain}
	verifyAll(t, filepath.Join(dir, "out"), options, files[:2])
}
