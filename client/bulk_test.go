package client

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// serveBoth returns a client of its own making, of a server that speaks HTTP/1.1 and
// HTTP/2.
func serveBoth(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Server: srv.URL, Token: TokenOf("pando_x"), CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLongBodiesByHTTP1: rows and results have a connection for themselves, all else
// shares one.
func TestLongBodiesByHTTP1(t *testing.T) {
	const rows = 1 << 20
	var mu sync.Mutex
	got := make(map[string]string)
	c := serveBoth(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method == http.MethodPost && len(body) != rows {
			t.Errorf("%s: %d bytes, %v", r.URL.Path, len(body), err)
		}
		mu.Lock()
		got[r.Method+" "+strings.TrimPrefix(r.URL.Path, apiPath)] = r.Proto
		mu.Unlock()
		io.WriteString(w, "{}")
	})
	_, err := c.Submit(t.Context(), Submission{Format: PEM}, strings.NewReader(strings.Repeat("r", rows)))
	if err != nil {
		t.Fatal(err)
	}
	results, err := c.ResultsAs(t.Context(), "b", 0, "", PEM)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(results); err != nil || string(text) != "{}" {
		t.Errorf("results: %q, %v", text, err)
	}
	results.Close()
	if _, err := c.Batch(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"POST /batches": "HTTP/1.1", "GET /batches/b/results": "HTTP/1.1", "GET /batches/b": "HTTP/2.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRefusedBeforeItsRows: an upload asks whether it is wanted before it sends its rows,
// so that a server may refuse it by its head and be heard.
func TestRefusedBeforeItsRows(t *testing.T) {
	c := serveBoth(t, func(w http.ResponseWriter, r *http.Request) {
		if expects := r.Header.Get("Expect"); expects != "100-continue" {
			t.Errorf("Expect: %q", expects)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"kind":"forbidden","detail":"no"}`)
	})
	_, err := c.Submit(t.Context(), Submission{Format: PEM}, strings.NewReader(strings.Repeat("r", 64<<20)))
	var p *Problem
	if !errors.As(err, &p) || p.Kind != "forbidden" {
		t.Errorf("%v, want the server's refusal", err)
	}
}
