package cli

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pando-pki/pando/client"
)

func TestTarget(t *testing.T) {
	dir := t.TempDir()
	tokenFile := filepath.Join(dir, "token")
	for path, text := range map[string]string{
		tokenFile: "pando_file\n",
		filepath.Join(dir, "quickstart.json"): `{"api": "https://quick/api/v1", "token": "pando_quick",
			"tls_ca": "ca.pem", "root": "/elsewhere/root.pem", "tenant": "demo"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	quick := target{"https://quick/api/v1", client.TokenOf("pando_quick"), filepath.Join(dir, "ca.pem"), "/elsewhere/root.pem"}
	ofFile, ofVariable := quick, quick
	ofFile.Token, ofVariable.Token = client.TokenOf("pando_file"), client.TokenOf("pando_env")
	exported := map[string]string{serverVariable: "https://env", tokenVariable: "pando_env", tlsCAVariable: "env.pem"}

	for name, test := range map[string]struct {
		flags       globals
		environment map[string]string
		want        target
		refused     string
	}{
		"nothing":                    {refused: "which server?"},
		"environment":                {environment: exported, want: target{"https://env", client.TokenOf("pando_env"), "env.pem", ""}},
		"flags before environment":   {flags: globals{Server: "https://flag", TokenFile: tokenFile, TLSCA: "flag.pem"}, environment: exported, want: target{"https://flag", client.TokenOf("pando_file"), "flag.pem", ""}},
		"no token":                   {flags: globals{Server: "https://flag"}, refused: "as whom?"},
		"quickstart":                 {flags: globals{Quickstart: dir}, want: quick},
		"quickstart hides variables": {flags: globals{Quickstart: dir}, environment: exported, want: quick},
		"quickstart, other token":    {flags: globals{Quickstart: dir, TokenFile: tokenFile}, want: ofFile},
		"quickstart by variable":     {environment: map[string]string{quickstartVariable: dir, tlsCAVariable: "env.pem"}, want: quick},
		"token before quickstart":    {environment: map[string]string{quickstartVariable: dir, tokenVariable: "pando_env"}, want: ofVariable},
		"file before token":          {flags: globals{TokenFile: tokenFile}, environment: map[string]string{quickstartVariable: dir, tokenVariable: "pando_env"}, want: ofFile},
		"server before quickstart":   {flags: globals{Server: "https://flag"}, environment: map[string]string{quickstartVariable: dir}, refused: "as whom?"},
		"no such quickstart":         {flags: globals{Quickstart: tokenFile}, refused: "quickstart.json"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{serverVariable, tokenVariable, tlsCAVariable, quickstartVariable} {
				t.Setenv(v, test.environment[v])
			}
			got, err := test.flags.target()
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Fatalf("got %v, want an error with %q", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTellWaits: that a command waits for a server is told once, and not to programs.
func TestTellWaits(t *testing.T) {
	for _, programs := range []bool{false, true} {
		var said strings.Builder
		tell := (&console{err: &said, json: programs}).tellWaits()
		busy := &client.Problem{Status: 503, Detail: "the signer does not answer", RetryAfter: 30 * time.Second}
		tell(300*time.Millisecond, busy)
		tell(30*time.Second, errors.New("connection refused"))
		if said.Len() > 0 {
			t.Errorf("of what nobody waits for it says %q", &said)
		}
		tell(30*time.Second, busy)
		tell(30*time.Second, busy)
		want := "pando: the server answered 503: the signer does not answer; it is asked again in 30s, and some times more\n"
		if programs {
			want = ""
		}
		if said.String() != want {
			t.Errorf("programs %t: it says %q, want %q", programs, &said, want)
		}
	}
}

// TestWaitsTold: whoever runs a command sees why it takes its time.
func TestWaitsTold(t *testing.T) {
	busy := true
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if busy {
			busy = false
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"kind":"unavailable","detail":"no place"}`)
			return
		}
		io.WriteString(w, `{"items":[]}`)
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(tokenVariable, "pando_x")
	t.Setenv(quickstartVariable, "")
	var said strings.Builder
	if code := Run(t.Context(), []string{"authority", "list", "--server", server.URL, "--tls-ca", ca}, nil, io.Discard, &said); code != exitDone {
		t.Errorf("it ends with %d", code)
	}
	if want := "answered 503: no place; it is asked again in 1s"; strings.Count(said.String(), want) != 1 {
		t.Errorf("it says %q, want %q", &said, want)
	}
}
