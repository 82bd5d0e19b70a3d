package client

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dial returns a client of a server that the handler answers for.
func dial(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewTLSServer(handler)
	t.Cleanup(srv.Close)
	c, err := New(Config{Server: srv.URL, Token: TokenOf("pando_x"), HTTPClient: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewServer(t *testing.T) {
	tests := []struct{ server, base string }{
		{"https://pki.example.com", "https://pki.example.com/api/v1"},
		{"https://pki.example.com:8443/", "https://pki.example.com:8443/api/v1"},
		{"https://pki.example.com/api/v1", "https://pki.example.com/api/v1"},
		{"https://pki.example.com/api/v1/", "https://pki.example.com/api/v1"},
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v1"},
		{"http://[::1]:8080", "http://[::1]:8080/api/v1"},
		{"http://localhost", "http://localhost/api/v1"},
		{"http://pki.example.com", "http://pki.example.com/api/v1"},
		{"ftp://pki.example.com", ""},
		{"pki.example.com:8443", ""},
		{"https://user:password@pki.example.com", ""},
		{"", ""},
	}
	for _, tt := range tests {
		c, err := New(Config{Server: tt.server, Token: TokenOf("pando_x")})
		if strings.HasPrefix(tt.server, "http://") {
			if err == nil {
				t.Errorf("%q would get the token in the clear", tt.server)
			}
			c, err = New(Config{Server: tt.server})
		}
		switch {
		case tt.base == "" && err == nil:
			t.Errorf("%q was taken", tt.server)
		case tt.base != "" && (err != nil || c.base != tt.base):
			t.Errorf("%q: %v, %v; want %s", tt.server, c, err, tt.base)
		}
	}
}

func TestCAFile(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"id":"demo","organization":"Demo"}]}`)
	}))
	defer srv.Close()
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "bad.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := errors.Join(os.WriteFile(good, text, 0o600), os.WriteFile(bad, []byte("none"), 0o600)); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Server: srv.URL, CAFile: good})
	if err != nil {
		t.Fatal(err)
	}
	tenants, err := c.Tenants(t.Context())
	if err != nil || len(tenants) != 1 {
		t.Errorf("%v, %v", tenants, err)
	}
	for _, file := range []string{bad, filepath.Join(dir, "none.pem")} {
		if _, err := New(Config{Server: srv.URL, CAFile: file}); err == nil {
			t.Errorf("%s was taken", file)
		}
	}
}

func TestTokenGoesNowhereElse(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	srv := httptest.NewTLSServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Server: srv.URL, Token: TokenOf("pando_x"), CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RevokeToken(t.Context(), "1"); err == nil || elsewhere.Load() != 0 {
		t.Errorf("%v, %d requests elsewhere", err, elsewhere.Load())
	}
}

// TestNoList: an answer that is not one of the API is not an empty list.
func TestNoList(t *testing.T) {
	for text, want := range map[string]bool{`{}`: false, `{"items":null}`: false, `{"items":[]}`: true} {
		c := dial(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
		if _, err := c.Tenants(t.Context()); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := c.Batches(t.Context(), "", 10); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestProblem(t *testing.T) {
	tests := []struct {
		name, media, body string
		status            int
		want              Problem
		text              string
	}{
		{"problem", "application/problem+json", `{"type":"urn:pando:error:malformed","title":"T","status":400,"detail":"d","kind":"malformed","errors":[{"location":"body.csr","message":"m"}]}`, 400,
			Problem{Type: "urn:pando:error:malformed", Title: "T", Status: 400, Detail: "d", Kind: "malformed", Errors: []FieldError{{"body.csr", "m"}}, RequestID: "r1"}, "d; body.csr: m"},
		{"of a proxy", "text/html", "<html>", 502,
			Problem{Type: "about:blank", Title: "Bad Gateway", Status: 502, Kind: "internal", RequestID: "r1"}, "the server answered 502 Bad Gateway"},
		{"garbage", "application/problem+json", `{"type":`, 500,
			Problem{Type: "about:blank", Title: "Internal Server Error", Status: 500, Kind: "internal", Detail: "the server's problem document could not be read", RequestID: "r1"},
			"the server's problem document could not be read"},
		{"another status inside", "application/problem+json", `{"status":200,"kind":"conflict","detail":"d"}`, 409,
			Problem{Type: "about:blank", Title: "Conflict", Status: 409, Kind: "conflict", Detail: "d", RequestID: "r1"}, "d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.media)
				w.Header().Set("Request-Id", "r1")
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			_, err := c.WhoAmI(t.Context())
			var p *Problem
			if !errors.As(err, &p) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, p); diff != "" || p.Error() != tt.text {
				t.Errorf("%q %s", p.Error(), diff)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	unavailable := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"kind":"unavailable"}`)
	}
	cut := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	refuse := func(w http.ResponseWriter) { w.WriteHeader(http.StatusConflict) }
	long := func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	get := func(ctx context.Context, c *Client) error { _, err := c.WhoAmI(ctx); return err }
	enroll := func(key string) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { _, err := c.Enroll(ctx, Enrollment{}, key); return err }
	}
	submit := func(key string, body io.Reader) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error {
			_, err := c.Submit(ctx, Submission{Format: PEM, IdempotencyKey: key}, body)
			return err
		}
	}
	tests := []struct {
		name  string
		fail  func(http.ResponseWriter)
		times int32 // that the server fails
		do    func(context.Context, *Client) error
		asked int32
		good  bool
	}{
		{"get, unavailable once", unavailable, 1, get, 2, true},
		{"get, cut twice", cut, 2, get, 3, true},
		{"get, always unavailable", unavailable, 99, get, attempts, false},
		{"get, refused", refuse, 99, get, 1, false},
		{"get, unavailable for an hour", long, 99, get, 1, false},
		{"enrolment with a key", cut, 1, enroll("k"), 2, true},
		{"enrolment without a key", cut, 1, enroll(""), 1, false},
		{"upload with a key that can seek", unavailable, 1, submit("k", strings.NewReader("rows")), 2, true},
		{"upload with a key that cannot seek", unavailable, 1, submit("k", io.MultiReader(strings.NewReader("rows"))), 1, false},
		{"upload without a key", unavailable, 1, submit("", strings.NewReader("rows")), 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			c := dial(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if asked.Add(1) <= tt.times {
					tt.fail(w)
					return
				}
				if r.URL.Path == "/api/v1/batches" && string(body) != "rows" {
					t.Errorf("the body came as %q", body)
				}
				io.WriteString(w, "{}")
			})
			err := tt.do(t.Context(), c)
			if (err == nil) != tt.good || asked.Load() != tt.asked {
				t.Errorf("%v after %d requests, want %d", err, asked.Load(), tt.asked)
			}
		})
	}
}

// inMemory answers requests without a connection.
type inMemory http.HandlerFunc

func (h inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result(), nil
}

func TestRetryEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{Server: "https://pki.example.com", Token: TokenOf("pando_x"), HTTPClient: &http.Client{Transport: inMemory(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusServiceUnavailable)
		})}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := c.WhoAmI(ctx); err == nil || time.Since(begun) != 50*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

// TestWaits: each wait is told, with the refusal that it is for, and no other refusal.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type wait struct {
			Wait   time.Duration
			Status int
		}
		var got []wait
		asked := 0
		c, err := New(Config{Server: "https://pki.example.com", Token: TokenOf("pando_x"),
			Waits: func(d time.Duration, why error) {
				p, _ := errors.AsType[*Problem](why)
				got = append(got, wait{d, p.Status})
			},
			HTTPClient: &http.Client{Transport: inMemory(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "20")
				if asked++; asked > 2 {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				w.WriteHeader(http.StatusServiceUnavailable)
			})}})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := c.WhoAmI(t.Context()); err == nil || time.Since(begun) != 40*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		if diff := cmp.Diff([]wait{{20 * time.Second, 503}, {20 * time.Second, 503}}, got); diff != "" {
			t.Errorf("it told (-want +got):\n%s", diff)
		}
	})
}

func TestResultsGoOnAfterABreak(t *testing.T) {
	var asked []string
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("after"))
		switch r.URL.Query().Get("after") {
		case "":
			io.WriteString(w, `{"row":1,"status":"issued"}`+"\n"+`{"row":2,"status":"issued"}`+"\n"+`{"row":3,"st`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "2":
			io.WriteString(w, `{"row":3,"status":"refused"}`+"\n")
		}
	})
	var rows []int64
	for r, err := range c.Results(t.Context(), "b1", 0) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r.Row)
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, rows); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"", "2"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestResultsEndWithAnErrorThatStays(t *testing.T) {
	c := dial(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"row":`) })
	var errs int
	for _, err := range c.Results(t.Context(), "b1", 0) {
		if err != nil {
			errs++
		}
	}
	if errs != 1 {
		t.Errorf("%d errors, want 1", errs)
	}
}

func TestWatchGoesOnAfterABreak(t *testing.T) {
	var asked atomic.Int32
	c := dial(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, ": hello\n\nevent: progress\ndata: {\"issued\":"+fmt.Sprint(asked.Add(1))+"}\n\n")
		if asked.Load() == 2 {
			io.WriteString(w, "event: end\ndata: {}\n\n")
		}
	})
	var issued []int64
	for b, err := range c.Watch(t.Context(), "b1") {
		if err != nil {
			t.Fatal(err)
		}
		issued = append(issued, b.Issued)
	}
	if diff := cmp.Diff([]int64{1, 2}, issued); diff != "" {
		t.Error(diff)
	}
}

func TestBlockKeysInParts(t *testing.T) {
	var parts []int
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n := strings.Count(string(body), `"h"`)
		parts = append(parts, n)
		fmt.Fprintf(w, `{"added":%d}`, n)
	})
	hashes := make([]string, 2000)
	for i := range hashes {
		hashes[i] = "h"
	}
	added, err := c.BlockKeys(t.Context(), hashes)
	if err != nil || added != 2000 {
		t.Errorf("%d, %v", added, err)
	}
	if diff := cmp.Diff([]int{900, 900, 200}, parts); diff != "" {
		t.Error(diff)
	}
}

// TestNoFormat: a format that is not said is the server's to choose, and no empty parameter,
// which it refuses.
func TestNoFormat(t *testing.T) {
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			t.Errorf("%s?%s", r.URL.Path, r.URL.RawQuery)
		}
	})
	for what, open := range map[string]func() (io.ReadCloser, error){
		"results":      func() (io.ReadCloser, error) { return c.ResultsAs(t.Context(), "b", 0, "", "") },
		"certificates": func() (io.ReadCloser, error) { return c.ExportCertificates(t.Context(), CertificateQuery{}, "", "") },
		"devices":      func() (io.ReadCloser, error) { return c.ExportDevices(t.Context(), DeviceFilter{}, "", "") },
	} {
		body, err := open()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		body.Close()
	}
}

func TestNamesAreEscaped(t *testing.T) {
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/api/v1/authorities/a%2F..%2Fb%3Fc/retire" {
			t.Errorf("path %s", r.URL.EscapedPath())
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.RetireAuthority(t.Context(), "a/../b?c"); err != nil {
		t.Error(err)
	}
}
