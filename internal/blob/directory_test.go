package blob

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// TestDirectoryAfterCrash leaves what a crash between write and rename leaves.
func TestDirectoryAfterCrash(t *testing.T) {
	path := t.TempDir()
	d := OpenDirectory(path)
	if err := os.MkdirAll(filepath.Join(path, "crl"), 0o755); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(path, "crl", ".1.crl.tmp")
	if err := os.WriteFile(left, []byte("half of an obj"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(t.Context(), "crl/1.crl", []byte("whole"), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the temporary file is still there: %v", err)
	}
	got, err := os.ReadFile(filepath.Join(path, "crl", "1.crl"))
	if err != nil || string(got) != "whole" {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestDirectoryMustBeThere: nothing is written beneath a mount point.
func TestDirectoryMustBeThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	d := OpenDirectory(path)
	wantHidden(t, path, d.Create(t.Context(), "a", nil, ""))
	_, _, err := d.Read(t.Context(), "a", 1)
	wantHidden(t, path, err)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(t.Context(), "a", nil, ""); err != nil {
		t.Errorf("the directory came later: %v", err)
	}
}

// TestDirectoryStaysInside: a link does not lead out of the directory.
func TestDirectoryStaysInside(t *testing.T) {
	outside, path := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(path, "crl")); err != nil {
		t.Fatal(err)
	}
	if err := OpenDirectory(path).Create(t.Context(), "crl/1.crl", []byte("x"), ""); err == nil {
		t.Error("it wrote through a link")
	}
	if names, err := os.ReadDir(outside); err != nil || len(names) != 0 {
		t.Errorf("outside there is %v, %v", names, err)
	}
}

func TestDirectoryLocked(t *testing.T) {
	path := t.TempDir()
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(held); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantHidden(t, path, OpenDirectory(path).Create(ctx, "a", nil, ""))
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := OpenDirectory(path).Create(t.Context(), "a", nil, ""); err != nil {
		t.Error(err)
	}
}

// wantHidden wants an error that says to the log where the directory is, and to nobody else.
func wantHidden(t *testing.T, path string, err error) {
	t.Helper()
	wantKind(t, err, pki.Unavailable)
	if detail := pki.DetailOf(err); !strings.Contains(err.Error(), path) || !strings.Contains(detail, "the directory") || strings.Contains(detail, path) {
		t.Errorf("%v; shown: %s", err, detail)
	}
}
