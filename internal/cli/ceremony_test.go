package cli

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestActDone: an interrupt that came too late is not passed over.
func TestActDone(t *testing.T) {
	var said bytes.Buffer
	c := &console{err: &said}
	ctx, interrupt := context.WithCancel(t.Context())
	c.actDone(ctx, "root.sealed")
	if said.Len() > 0 {
		t.Errorf("without an interrupt: %s", &said)
	}
	interrupt()
	c.actDone(ctx, "root.sealed", "root.pem")
	if !strings.Contains(said.String(), "it is finished, and written to root.sealed, root.pem") {
		t.Errorf("after an interrupt: %s", &said)
	}
}

// TestReserve: a file that is reserved is nobody else's, and goes where nothing
// was written to it.
func TestReserve(t *testing.T) {
	c, path := &console{}, filepath.Join(t.TempDir(), "root.pem")
	out, err := c.reserve(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.reserve(path); err == nil {
		t.Error("it is reserved twice")
	}
	out.drop()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dropped: %v", err)
	}
	if out, err = c.reserve(path); err != nil {
		t.Fatal(err)
	}
	if err := out.write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	out.drop()
	if b, err := os.ReadFile(path); err != nil || string(b) != "x" {
		t.Errorf("written: %q, %v", b, err)
	}
}
