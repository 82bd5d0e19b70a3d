package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignQuickstart: a token goes to no server that somebody else's directory names by
// the environment alone.
func TestForeignQuickstart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "quickstart.json")
	if err := os.WriteFile(file, []byte(`{"api": "https://quick/api/v1", "token": "pando_quick"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{serverVariable, tlsCAVariable} {
		t.Setenv(name, "")
	}
	t.Setenv(quickstartVariable, dir)
	t.Setenv(tokenVariable, "pando_own")
	mode := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		t.Helper()
		if _, err := new(globals).target(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := (&globals{Quickstart: dir}).target(); err != nil {
			t.Errorf("named by the flag: %v", err)
		}
	}
	mode(dir, 0o755)
	if got, err := new(globals).target(); err != nil || got.Server == "" {
		t.Errorf("%+v, %v", got, err)
	}
	mode(dir, 0o777)
	refused("can be written by everybody")
	mode(dir, 0o700)
	mode(file, 0o666)
	refused("quickstart.json, which PANDO_QUICKSTART names, can be written by everybody")
	mode(file, 0o600)

	me := os.Geteuid()
	if me == 0 { // what is the superuser's is nobody else's
		for _, path := range []string{dir, file} {
			if err := os.Chown(path, 4711, -1); err != nil {
				t.Fatal(err)
			}
		}
		refused("is another user's")
		me = 4711
	}
	if err := checkOwn(dir, me+1); err == nil || !strings.Contains(err.Error(), "is another user's") {
		t.Errorf("of another user: %v", err)
	}
	if err := checkOwn(dir, me); err != nil {
		t.Error(err)
	}
}
