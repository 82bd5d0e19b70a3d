package blob

import (
	"context"
	"os"
	"path/filepath"
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
	if err := d.Create(t.Context(), "a", nil, ""); err == nil {
		t.Error("it wrote into a directory that is not there")
	}
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
	wantKind(t, OpenDirectory(path).Create(ctx, "a", nil, ""), pki.Unavailable)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := OpenDirectory(path).Create(t.Context(), "a", nil, ""); err != nil {
		t.Error(err)
	}
}
