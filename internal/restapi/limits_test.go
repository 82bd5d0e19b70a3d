package restapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// TestLimits: what is too much is 429 or 503, as a problem that says when to come
// again.
func TestLimits(t *testing.T) {
	now := time.Now()
	s := serveWith(t, limit.New(limit.Config{Tenant: limit.Rate{PerSecond: 1, Burst: 2}, Failures: limit.Rate{PerSecond: 1, Burst: 2},
		Requests: 1, Streams: 1, Now: func() time.Time { return now }}))
	for range 2 {
		if resp, text := s.ask(t, "admin", "GET", "/api/v1/whoami", ""); resp.StatusCode != http.StatusOK {
			t.Fatal(text)
		}
	}
	s.refused(t, http.StatusTooManyRequests, pki.RateLimited, "admin", "GET", "/api/v1/whoami", "")
	s.refused(t, http.StatusTooManyRequests, pki.RateLimited, "factory", "GET", "/api/v1/whoami", "") // of the same tenant
	if resp, text := s.ask(t, "operator", "GET", "/api/v1/whoami", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the platform: %s", text)
	}
	resp, _ := s.ask(t, "admin", "GET", "/api/v1/whoami", "")
	if resp.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
	}

	// Failures of one source that is not this machine.
	status := func(token string) int {
		r, w := httptest.NewRequest("GET", "/api/v1/alarms", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer "+token)
		r.RemoteAddr = "192.0.2.1:1000"
		s.Config.Handler.ServeHTTP(w, r)
		return w.Code
	}
	for i, want := range []int{401, 401, 429, 429} {
		if got := status("guess"); got != want {
			t.Errorf("guess %d: %d, want %d", i, got, want)
		}
	}
	if got := status("operator"); got != http.StatusOK {
		t.Errorf("one who proves who they are, from the same source: %d", got)
	}
	s.looked.Store(0)
	if got := status("auditor"); got != http.StatusTooManyRequests || s.looked.Load() != 0 {
		t.Errorf("one who has not proved who they are before: %d, after %d proofs were looked at", got, s.looked.Load())
	}
	if strings.Count(s.log.String(), "status=401") != 2 {
		t.Errorf("what is too much is logged like the rest: %s", s.log)
	}
}

// TestDeviceLimited: one device cannot spend what all of its tenant have.
func TestDeviceLimited(t *testing.T) {
	now := time.Now()
	s := serveWith(t, limit.New(limit.Config{Tenant: limit.Rate{PerSecond: 1, Burst: 4}, Device: limit.Rate{PerSecond: 1, Burst: 2}, Now: func() time.Time { return now }}))
	s.tokens["meter"] = access.Principal{Tenant: "demo", ID: "certificate:x/1", Grants: access.Given(access.Device), Device: "SM-1"}
	for i, want := range []int{200, 200, 429, 429, 429, 429, 429} {
		if resp, text := s.ask(t, "meter", "GET", "/api/v1/whoami", ""); resp.StatusCode != want || want == 429 && !strings.Contains(text, "SM-1") {
			t.Errorf("request %d of the device: %s, want %d", i, text, want)
		}
	}
	for range 2 {
		if resp, text := s.ask(t, "admin", "GET", "/api/v1/whoami", ""); resp.StatusCode != http.StatusOK {
			t.Errorf("another of its tenant: %s", text)
		}
	}
}

// TestShed: a request that finds no place is told at once; streams do not take the
// places of single requests.
func TestShed(t *testing.T) {
	limits := limit.New(limit.Config{Requests: 1, Streams: 1, Now: time.Now})
	s := serveWith(t, limits)
	leave, err := limits.Request(true)
	if err != nil {
		t.Fatal(err)
	}
	s.refused(t, http.StatusServiceUnavailable, pki.Unavailable, "admin", "GET", "/api/v1/batches/x/results", "")
	if resp, text := s.ask(t, "admin", "GET", "/api/v1/whoami", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("a single request while streams are many: %s", text)
	}
	leave()
	if leave, err = limits.Request(false); err != nil {
		t.Fatal(err)
	}
	p := s.refused(t, http.StatusServiceUnavailable, pki.Unavailable, "", "GET", "/api/v1/whoami", "")
	if p.Detail == "" {
		t.Error("no detail")
	}
	if resp, _ := s.ask(t, "", "GET", "/api/v1/openapi.json", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the document while requests are many: %s", resp.Status)
	}
	time.AfterFunc(10*time.Millisecond, leave)
	if _, err := s.client(t, "admin").WhoAmI(t.Context()); err != nil { // the client comes again
		t.Error(err)
	}
}
