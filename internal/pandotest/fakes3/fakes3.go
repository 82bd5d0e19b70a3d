// Package fakes3 is a small stand-in, for tests, for a service that speaks the S3
// protocol: one bucket in memory, over real HTTP, with what internal/blob uses of
// the protocol. It verifies AWS Signature Version 4 and the hash of what is
// written, heeds If-Match and If-None-Match, and refuses everything else.
//
// It is no S3 service and proves nothing about one.
package fakes3

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// The credentials that a Service takes.
const (
	AccessKeyID     = "FAKES3ACCESSKEY"
	SecretAccessKey = "a fake secret / with + signs"
	Region          = "eu-test-1"
)

// maxBody bounds what is written, in bytes.
const maxBody = 1 << 30

// A Service holds one bucket.
type Service struct {
	URL    string // the endpoint
	Bucket string

	// IgnoreConditions has it overwrite whatever a condition says, as services do
	// that do not know conditional writes.
	IgnoreConditions bool

	mu       sync.Mutex
	objects  map[string][]byte // guarded by mu, as are the others
	requests int
	down     int // the HTTP status of every answer, 0 for none
}

// New starts a service that ends with the test.
func New(t testing.TB) *Service {
	s := &Service{Bucket: "status-bucket", objects: make(map[string][]byte)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Object returns an object's content, or nil.
func (s *Service) Object(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[name]
}

// Put writes an object past all conditions, as somebody else might.
func (s *Service) Put(name string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[name] = content
}

// Count returns how many objects there are whose names begin with prefix.
func (s *Service) Count(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.objects {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// Requests returns how many requests came.
func (s *Service) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Break has every request answered with the HTTP status, until Break(0).
func (s *Service) Break(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = status
}

// ServeHTTP answers a request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	bucket, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, "IncompleteBody")
	case s.down != 0:
		if s.down/100 == 3 {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		fail(w, s.down, "InternalError")
	case verify(r, body, AccessKeyID, SecretAccessKey, Region, time.Now()) != nil:
		fail(w, http.StatusForbidden, "SignatureDoesNotMatch")
	case bucket != s.Bucket:
		fail(w, http.StatusNotFound, "NoSuchBucket")
	case name == "" || r.URL.RawQuery != "":
		fail(w, http.StatusNotImplemented, "NotImplemented")
	default:
		s.object(w, r, name, body)
	}
}

// object needs mu.
func (s *Service) object(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	have, ok := s.objects[name]
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if !ok {
			fail(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", etag(have))
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", fmt.Sprint(len(have)))
		w.Write(have) // an error is the client's going away
	case http.MethodPut:
		match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
		switch {
		case s.IgnoreConditions:
		case none != "" && none != "*":
			fail(w, http.StatusNotImplemented, "NotImplemented")
			return
		case none == "*" && ok, match != "" && ok && match != etag(have):
			fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		case match != "" && !ok:
			fail(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		s.objects[name] = body
		w.Header().Set("ETag", etag(body))
	case http.MethodDelete:
		delete(s.objects, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

func etag(content []byte) string {
	sum := md5.Sum(content) // as the protocol has it
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
