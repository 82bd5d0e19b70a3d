// Package fakeanchor is a stand-in, for tests, for a service that keeps the checkpoints
// of audit logs: it takes what is posted to it and gives the newest of each log back, as
// docs/operator/audit.md says of services that can be read.
package fakeanchor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Secret signs what is sent to a Service.
const Secret = "a secret of a fake anchor"

// A Service keeps the newest checkpoint of each log.
type Service struct {
	URL string

	mu     sync.Mutex
	notes  map[string]string // guarded by mu: by origin
	status int               // guarded by mu: of every answer, 0 for those that are right
}

// New starts a service that ends with the test.
func New(t testing.TB) *Service {
	s := &Service{notes: make(map[string]string)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/checkpoints"
	return s
}

// Fail has the service answer with an HTTP status and keep nothing; 0 ends that.
func (s *Service) Fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// Notes returns the newest checkpoint of each log, by its origin.
func (s *Service) Notes() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.notes)
}

// Set has the service have these checkpoints alone.
func (s *Service) Set(notes map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = maps.Clone(notes)
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, "the body did not come", http.StatusBadRequest)
		return
	}
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
	case r.Header.Get("Pando-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)):
		http.Error(w, "another signature", http.StatusForbidden)
	case r.Method == http.MethodPost:
		origin, _, _ := strings.Cut(string(body), "\n")
		s.notes[origin] = string(body)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, origin := range slices.Sorted(maps.Keys(s.notes)) {
			io.WriteString(w, s.notes[origin]+"\n")
		}
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}
