package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pando-pki/pando/client"
)

// TestSubmitUnanswered: an upload whose answer is lost says how it is found again; one
// that was refused does not.
func TestSubmitUnanswered(t *testing.T) {
	var refuse atomic.Bool // else there is no answer
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that went away is no fault of this test
		if !refuse.Load() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind": "forbidden", "status": 403, "detail": "no"}`)
	}))
	defer server.Close()
	cl, err := client.New(client.Config{Server: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rows.ndjson")
	if err := os.WriteFile(file, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	submit := func(name, key string) string {
		s := &batchSubmit{File: name, Format: "ndjson", Endpoint: "meter", IdempotencyKey: key}
		err := s.Run(t.Context(), &console{in: strings.NewReader("{}\n"), out: io.Discard, err: io.Discard}, cl)
		if err == nil {
			t.Fatal("it is submitted")
		}
		return hintOf(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	key, err := fileKey("meter", "", f)
	if err != nil {
		t.Fatal(err)
	}
	if hint := submit(file, ""); !strings.Contains(hint, "again") || !strings.Contains(hint, key) {
		t.Errorf("a file: %q", hint)
	}
	if hint := submit(file, "order-7"); !strings.Contains(hint, "order-7") {
		t.Errorf("a file with a key: %q", hint)
	}
	if hint := submit("-", ""); !strings.Contains(hint, "pando batch list") {
		t.Errorf("standard input: %q", hint)
	}
	refuse.Store(true)
	if hint := submit(file, ""); strings.Contains(hint, key) {
		t.Errorf("a refusal: %q", hint)
	}
}
