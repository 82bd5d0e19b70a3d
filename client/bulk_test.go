package client

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// TestResultsByHTTP1: results have a connection for themselves, all else shares one.
func TestResultsByHTTP1(t *testing.T) {
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
	want := map[string]string{"POST /batches": "HTTP/2.0", "GET /batches/b/results": "HTTP/1.1", "GET /batches/b": "HTTP/2.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// slowFile is a file of which the second Read waits until it is let go.
type slowFile struct {
	*bytes.Reader
	reads atomic.Int64
	goOn  chan struct{}
	done  chan struct{} // that Read has returned
}

func (f *slowFile) Read(b []byte) (int, error) {
	if f.reads.Add(1) == 2 {
		<-f.goOn
		defer close(f.done)
	}
	return f.Reader.Read(b[:min(len(b), 4096)])
}

// TestAnsweredAmidItsRows: an upload that is answered amid its rows, while a Read of them
// goes on, is sent again with all of them. By HTTP/1.1, as behind a proxy, net/http returns
// before that Read does.
func TestAnsweredAmidItsRows(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcde\n"), 1<<20) // no socket holds all of it
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			file := &slowFile{Reader: bytes.NewReader(want), goOn: make(chan struct{}), done: make(chan struct{})}
			letGo := sync.OnceFunc(func() { close(file.goOn) })
			var calls atomic.Int64
			var got []byte
			c := serveBoth(t, func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) > 1 {
					begun := make([]byte, 1000)
					io.ReadFull(r.Body, begun)
					letGo()
					<-file.done
					rest, _ := io.ReadAll(r.Body)
					got = append(begun, rest...)
					io.WriteString(w, "{}")
					return
				}
				const refusal = `{"kind":"unavailable","detail":"the disk is full"}`
				answer := http.NewResponseController(w)
				answer.EnableFullDuplex() // or net/http reads on before it answers
				io.CopyN(io.Discard, r.Body, 1000)
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("Content-Length", strconv.Itoa(len(refusal)))
				w.WriteHeader(http.StatusServiceUnavailable)
				io.WriteString(w, refusal)
				answer.Flush()
				time.AfterFunc(2*time.Second, letGo) // for who waits for the Read before it begins anew
			})
			if !http2 {
				c.http = c.bulk
			}
			if _, err := c.Submit(t.Context(), Submission{Format: PEM, IdempotencyKey: "k"}, file); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d of %d bytes arrived", len(got), len(want))
			}
		})
	}
}
