package status_test

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/proto/status"
	"github.com/pando-pki/pando/internal/tbs"
)

// noAnswer refuses everything that gets past the limits.
type noAnswer struct{ status.Validator }

// TestLimited: too much is tryLater in OCSP (RFC 6960, 2.3) and 429 elsewhere, both
// with a time to come again, and is not logged; too much at once is tryLater and 503.
func TestLimited(t *testing.T) {
	now := time.Now()
	limits := limit.New(limit.Config{Status: limit.Rate{PerSecond: 1, Burst: 1}, Answers: 1, Now: func() time.Time { return now }})
	var log failOnWrite
	log.t = t
	s := status.New(status.Config{Limiter: limits, Validator: noAnswer{}, Chains: nil, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	ask := func(path, from string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("GET", path, nil), httptest.NewRecorder()
		r.RemoteAddr = from
		s.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
		return w
	}
	tryLater := string(tbs.OCSPError(tbs.OCSPTryLater))
	ocsp := "/ocsp/x/" + base64.StdEncoding.EncodeToString([]byte("MA"))

	ask("/crl/x/not", "192.0.2.1:1") // takes the burst
	if w := ask(ocsp, "192.0.2.1:2"); w.Code != http.StatusOK || w.Body.String() != tryLater || w.Header().Get("Retry-After") != "1" {
		t.Errorf("OCSP: %d %q %v", w.Code, w.Body, w.Header())
	}
	for _, path := range []string{"/crl/x/0.crl", "/ca/x.cer"} {
		if w := ask(path, "192.0.2.1:3"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	if w := ask("/crl/x/not", "192.0.2.2:1"); w.Code != http.StatusNotFound {
		t.Errorf("another source: %d", w.Code)
	}
	leave, err := limits.Answer("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if w := ask(ocsp, "127.0.0.1:2"); w.Body.String() != tryLater {
		t.Errorf("OCSP while all places are taken: %q", w.Body)
	}
	if w := ask("/crl/x/0.crl", "127.0.0.1:2"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a CRL while all places are taken: %d", w.Code)
	}
}

// failOnWrite is a log that must stay empty.
type failOnWrite struct{ t *testing.T }

func (f *failOnWrite) Write(line []byte) (int, error) {
	f.t.Errorf("logged: %s", line)
	return len(line), nil
}
