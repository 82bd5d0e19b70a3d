//go:build unix

package soft_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/pki"
)

func TestLoadKEK(t *testing.T) {
	dir := t.TempDir()
	good := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PANDO_TEST_KEK", good)
	t.Setenv("PANDO_TEST_KEK_SHORT", good[:40])
	tests := []struct {
		name, source string
		kind         pki.Kind
		say          string // "" loads
	}{
		{name: "file", source: file("a", good+"\n", 0o600)},
		{name: "read-only file without a line end", source: file("b", good, 0o400)},
		{name: "file with CRLF", source: file("c", good+"\r\n", 0o600)},
		{name: "environment", source: "env:PANDO_TEST_KEK"},
		{name: "group may read", source: file("d", good, 0o640), kind: pki.Forbidden, say: "mode 0640"},
		{name: "others may execute", source: file("e", good, 0o601), kind: pki.Forbidden, say: "chmod 600"},
		{name: "short", source: file("f", good[:20], 0o600), kind: pki.Malformed, say: "32 bytes"},
		{name: "31 bytes", source: file("g", base64.StdEncoding.EncodeToString(make([]byte, 31)), 0o600), kind: pki.Malformed, say: "32 bytes"},
		{name: "33 bytes", source: file("h", base64.StdEncoding.EncodeToString(make([]byte, 33)), 0o600), kind: pki.Malformed, say: "32 bytes"},
		{name: "two lines", source: file("i", good[:22]+"\n"+good[22:], 0o600), kind: pki.Malformed, say: "one line"},
		{name: "more after it", source: file("j", good+"\n"+strings.Repeat("\n", 1000), 0o600), kind: pki.Malformed, say: "one line"},
		{name: "empty", source: file("k", "", 0o600), kind: pki.Malformed, say: "32 bytes"},
		{name: "raw bytes", source: file("l", strings.Repeat("k", 32), 0o600), kind: pki.Malformed, say: "base64"},
		{name: "missing file", source: "file:" + filepath.Join(dir, "none"), kind: pki.NotFound, say: "restore the copy"},
		{name: "directory", source: "file:" + dir, kind: pki.Forbidden, say: "not a regular file"},
		{name: "named pipe", source: "file:" + fifo, kind: pki.Forbidden, say: "not a regular file"},
		{name: "variable not set", source: "env:PANDO_TEST_NONE", kind: pki.NotFound, say: "PANDO_TEST_NONE is not set"},
		{name: "variable short", source: "env:PANDO_TEST_KEK_SHORT", kind: pki.Malformed, say: "32 bytes"},
		{name: "the key itself", source: good, kind: pki.Malformed, say: "file:PATH or env:NAME"},
		{name: "nothing", source: "", kind: pki.Malformed, say: "file:PATH or env:NAME"},
	}
	ids := make(map[string]bool)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := soft.LoadKEK(tt.source)
			if tt.say == "" {
				if err != nil {
					t.Fatal(err)
				}
				ids[k.ID()] = true
				return
			}
			if err == nil || pki.KindOf(err) != tt.kind || !strings.Contains(pki.DetailOf(err), tt.say) {
				t.Fatalf("error %v of kind %v, want %v: %q", err, pki.KindOf(err), tt.kind, tt.say)
			}
			if strings.Contains(err.Error(), good[:20]) {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
	if len(ids) != 1 {
		t.Errorf("one key has the ids %v", ids)
	}
}

func TestCreateKEK(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	made, err := soft.CreateKEK(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := soft.LoadKEK("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if made.ID() != loaded.ID() || len(made.ID()) != 16 {
		t.Errorf("made key %s, loaded key %s", made.ID(), loaded.ID())
	}
	if _, err := soft.CreateKEK(path); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a second key at the same path: error %v", err)
	}
}

func TestKEKPrintsNothing(t *testing.T) {
	k := newKEK(t)
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "kek", k)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "kek", k)
	fmt.Fprintf(&b, "%v %+v %#v %s %x", k, k, k, k, k)
	if got := strings.Count(b.String(), "[secret]"); got != 6 || strings.Contains(b.String(), k.ID()) {
		t.Errorf("printed as %s", b.String())
	}
}

// TestCursorKey: whoever has the same key-encryption key takes the same cursors, on
// another node and after a restart, and nobody else does.
func TestCursorKey(t *testing.T) {
	keys := make(map[[32]byte]int)
	for _, letter := range []string{"k", "k", "l"} {
		t.Setenv("PANDO_TEST_KEK", base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32))))
		kek, err := soft.LoadKEK("env:PANDO_TEST_KEK")
		if err != nil {
			t.Fatal(err)
		}
		keys[kek.CursorKey()]++
	}
	if len(keys) != 2 || keys[[32]byte{}] != 0 {
		t.Errorf("%d keys of two, or none", len(keys))
	}
}

// TestMAC: a hash is of one label, one text and one key, on each node that has it.
func TestMAC(t *testing.T) {
	hashes := make(map[string]int)
	for _, c := range []struct{ letter, label, text string }{
		{"k", "a", "text"}, {"k", "a", "text"}, {"l", "a", "text"}, {"k", "b", "text"}, {"k", "a", "other"},
	} {
		t.Setenv("PANDO_TEST_KEK", base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c.letter, 32))))
		kek, err := soft.LoadKEK("env:PANDO_TEST_KEK")
		if err != nil {
			t.Fatal(err)
		}
		hashes[string(kek.MAC(c.label, []byte(c.text)))]++
	}
	if len(hashes) != 4 {
		t.Errorf("%d hashes of four", len(hashes))
	}
}

// TestSeal: what is sealed opens with its label and its key alone, and is not what it was.
func TestSeal(t *testing.T) {
	dir := t.TempDir()
	one, err := soft.CreateKEK(filepath.Join(dir, "one"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := soft.CreateKEK(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte("a request with a challenge")
	sealed := one.Seal("notice", plain)
	if bytes.Contains(sealed, plain) {
		t.Error("it stands there as it was")
	}
	if got, err := one.Unseal("notice", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := one.Unseal("another", sealed); err == nil {
		t.Error("it opens for something else")
	}
	if _, err := other.Unseal("notice", sealed); err == nil {
		t.Error("it opens under another key")
	}
	sealed[len(sealed)-1]++
	if _, err := one.Unseal("notice", sealed); err == nil {
		t.Error("it opens changed")
	}
}
