//go:build system

package acceptance

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecondProcess opens data that a server has open.
func TestSecondProcess(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	for _, command := range []string{"serve", "check", "init"} {
		refused(t, pando(t, command, "--data", h.data()), "in use by another pando")
	}
	if !h.isReady() {
		t.Error("the server is not ready any more")
	}
	h.stop(t)
	h.check(t, "")
}

// refused holds a command against what it must say on standard error.
func refused(t *testing.T, out output, want ...string) {
	t.Helper()
	if out.status != 1 {
		t.Errorf("exit status %d, want 1:\n%s", out.status, out.stderr)
	}
	for _, w := range want {
		if !strings.Contains(out.stderr, w) {
			t.Errorf("the error does not say %q:\n%s", w, out.stderr)
		}
	}
}

// TestUnusable spoils what a server needs, one thing at a time. It does not start
// then, and says why; with the thing restored it does.
func TestUnusable(t *testing.T) {
	h := newHouse(t, 2)
	kek, config := filepath.Join(h.data(), "kek.key"), filepath.Join(h.data(), "pando.yaml")
	other := make([]byte, 32)
	rand.Read(other)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		file    string
		content string
		mode    os.FileMode
		want    []string
	}{
		{"another key-encryption key", kek, base64.StdEncoding.EncodeToString(other), 0o600, []string{"are sealed under key-encryption key", "the one given is"}},
		{"a broken key-encryption key", kek, "c2hvcnQ=\n", 0o600, []string{"kek.key", "base64 of 32 bytes"}},
		{"a readable key-encryption key", kek, "", 0o644, []string{"kek.key", "0644", "chmod 600"}},
		{"an unknown member", config, string(text) + "listenn:\n  https: 127.0.0.1:1\n", 0o600, []string{"pando.yaml", "listenn", "^"}},
		{"a member twice", config, string(text) + "tls:\n  endpoint: demo.tls\n", 0o600, []string{"pando.yaml", "tls", "^"}},
		{"an address of another machine", config, strings.Replace(string(text), "  https: 127.0.0.1", "  https: 192.0.2.1", 1), 0o600, []string{"listener https", "--https"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			good, err := os.ReadFile(c.file)
			if err != nil {
				t.Fatal(err)
			}
			content := []byte(c.content)
			if c.content == "" {
				content = good
			}
			replace(t, c.file, content, c.mode)
			defer replace(t, c.file, good, 0o600)
			p := start(t, h.log, os.Getenv(binaryVariable), "serve", "--data", h.data())
			status := p.wait(t)
			said, err := os.ReadFile(h.log)
			if err != nil {
				t.Fatal(err)
			}
			refused(t, output{stderr: string(said), status: status}, c.want...)
			if err := os.Remove(h.log); err != nil {
				t.Fatal(err)
			}
		})
	}
	h.serve(t)
	h.stop(t)
	h.check(t, "")
}

// replace writes a file with a mode.
func replace(t *testing.T, file string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}
