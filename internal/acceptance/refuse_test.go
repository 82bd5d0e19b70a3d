//go:build system

package acceptance

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/server"
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
		{"a broken key-encryption key", kek, "c2hvcnQ=\n", 0o600, []string{"kek.key", "base64 of 32 bytes"}},
		{"a readable key-encryption key", kek, "", 0o644, []string{"kek.key", "0644", "chmod 600"}},
		{"an unknown member", config, string(text) + "listenn:\n  https: 127.0.0.1:1\n", 0o600, []string{"pando.yaml", "listenn", "^"}},
		{"a member twice", config, string(text) + "tls:\n  endpoint: demo.tls\n", 0o600, []string{"pando.yaml", "tls", "^"}},
		{"an address that is none", config, strings.Replace(string(text), "  https: ", "  https: nowhere:", 1), 0o600, []string{"listener https", "--https"}},
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

// TestWrongKEK gives the server another key-encryption key than the one that its
// keys are sealed under: its log tells the two apart, and nothing is issued until
// the right one is back.
func TestWrongKEK(t *testing.T) {
	h := newHouse(t, 2)
	before := h.check(t, "")
	kek := filepath.Join(h.data(), "kek.key")
	right, err := os.ReadFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	wrong := make([]byte, 32)
	rand.Read(wrong)
	replace(t, kek, []byte(base64.StdEncoding.EncodeToString(wrong)), 0o600)
	csr, err := request("kek")
	if err != nil {
		t.Fatal(err)
	}

	h.begin(t)
	h.ready(t)
	// The listeners cannot open the key of their certificate either.
	people := web(t, filepath.Join(h.data(), server.BootstrapFile), true)
	sendBad(t, h, people, []badCall{{"enrolment", http.MethodPost, "/enrollments", "", mediaJSON, enrollment("device", csr), http.StatusServiceUnavailable, pki.Unavailable}})
	h.stop(t)
	log, err := os.ReadFile(h.log)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("is sealed under key-encryption key")) {
		t.Errorf("the log does not name the wrong key:\n%s", log)
	}

	replace(t, kek, right, 0o600)
	h.serve(t)
	if _, err := h.as(t, "").Enroll(t.Context(), client.Enrollment{Endpoint: "device", CSR: csr}, ""); err != nil {
		t.Errorf("with the right key again: %v", err)
	}
	h.stop(t)
	if after := h.check(t, ""); after.Certificates != before.Certificates+1 {
		t.Errorf("the store has %d new certificates, want 1", after.Certificates-before.Certificates)
	}
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
