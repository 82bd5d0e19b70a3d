//go:build system

package acceptance

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// TestHostileUpload hands in a zip archive of a million tiny files that are no
// requests. Each is refused by itself, and the whole server, with the store and the
// refusals that it keeps, stays within what an upload may take at most.
func TestHostileUpload(t *testing.T) {
	const most = 256 << 20
	entries := 1_000_000
	if testing.Short() {
		entries = 100_000
	}
	file := tinyFiles(t, entries)
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.serve(t)
	api := h.as(t, "")
	began := time.Now()
	b, err := api.Submit(t.Context(), client.Submission{Endpoint: "meter", Format: client.Zip}, file)
	if err != nil {
		t.Fatal(err)
	}
	rate(t, "files handed in", entries, time.Since(began))
	for moved, last := time.Now(), int64(-1); b.State != client.Done; time.Sleep(pause) {
		if b, err = api.Batch(t.Context(), b.ID); err != nil {
			t.Fatal(err)
		}
		if b.Refused != last {
			moved, last = time.Now(), b.Refused
		}
		if time.Since(moved) > hung {
			t.Fatalf("batch %s stands still at %d refused", b.ID, b.Refused)
		}
	}
	rate(t, "files handed in and refused", entries, time.Since(began))
	if b.Refused != int64(entries) || b.Issued != 0 {
		t.Errorf("of %d files %d were refused and %d issued", entries, b.Refused, b.Issued)
	}
	peak := h.server.memory(t, "VmHWM")
	t.Logf("the server had %s in memory at most", mib(peak))
	if peak > most {
		t.Errorf("the server had %s in memory, want %s at most", mib(peak), mib(most))
	}
	h.stop(t)
	if after := h.check(t, ""); after.Certificates != before.Certificates {
		t.Errorf("the store has %d new certificates", after.Certificates-before.Certificates)
	}
}

// tinyFiles returns an archive of so many files of one octet.
func tinyFiles(t *testing.T, n int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "tiny.zip"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	out := bufio.NewWriterSize(f, 1<<20)
	w := zip.NewWriter(out)
	for i := range n {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("SM-%d.csr", i), Method: zip.Store})
		if err == nil {
			_, err = entry.Write([]byte("x"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), out.Flush()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	return f
}
