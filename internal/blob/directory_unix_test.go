//go:build unix

package blob

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// TestDirectoryOddObjects: what cannot be read is an object's fault and not the
// directory's, holds nobody up, and can be removed.
func TestDirectoryOddObjects(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, make := range map[string]func(path string) error{
		"a link that leads out": func(path string) error { return os.Symlink(outside, path) },
		"a link to itself":      func(path string) error { return os.Symlink("a", path) },
		"a directory":           func(path string) error { return os.Mkdir(path, 0o755) },
		"a named pipe":          func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a socket": func(path string) error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer syscall.Close(fd)
			return syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
		},
	} {
		path := t.TempDir()
		d := OpenDirectory(path)
		if err := make(filepath.Join(path, "a")); err != nil {
			t.Fatal(what, err)
		}
		_, _, err := d.Read(t.Context(), "a", 10)
		if pki.KindOf(err) != pki.Conflict {
			t.Errorf("read %s: %v", what, err)
		}
		if _, err := d.Replace(t.Context(), "a", "", []byte("b"), ""); pki.KindOf(err) != pki.Conflict {
			t.Errorf("replace %s: %v", what, err)
		}
		if err := d.Remove(t.Context(), "a"); err != nil {
			t.Errorf("remove %s: %v", what, err)
		}
		if err := d.Create(t.Context(), "a", []byte("b"), ""); err != nil {
			t.Errorf("create after %s: %v", what, err)
		}
	}
}
