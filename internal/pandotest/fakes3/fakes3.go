// Package fakes3 is a small stand-in, for tests, for a service that speaks the S3
// protocol: one bucket in memory, over real HTTP, with what internal/blob uses of
// the protocol. It verifies AWS Signature Version 4 and the hash of what is
// written, heeds If-Match and If-None-Match, and refuses everything else; as others
// do, it refuses a write before it reads what is to be written.
//
// It is no S3 service and proves nothing about one. The tests of internal/blob hold it
// and a real one, package s3server, to the same answers.
package fakes3

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
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

// maxUnread is how much of a write that is refused is read all the same, in bytes. Of a
// longer one the refusal is lost, as it can be with others: versitygw v1.8.0 ends the
// connection above the same bound.
const maxUnread = 256 << 10

// checksum is a header that a write must have, as Amazon S3 wants where the bucket has
// object lock.
const checksum = "X-Amz-Checksum-Sha256"

// A Service holds one bucket.
type Service struct {
	URL    string // the endpoint
	Bucket string

	// IgnoreConditions has it overwrite whatever a condition says, as services do
	// that do not know conditional writes.
	IgnoreConditions bool
	// LoseAnswers has it write and not say so.
	LoseAnswers bool

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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	bucket, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	refused := verify(r, AccessKeyID, SecretAccessKey, Region, time.Now())
	switch {
	case s.down != 0:
		if s.down/100 == 3 {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		fail(w, s.down, "InternalError")
	case refused == "AuthorizationHeaderMalformed":
		fail(w, http.StatusBadRequest, refused)
	case refused != "":
		fail(w, http.StatusForbidden, refused)
	case bucket != s.Bucket:
		fail(w, http.StatusNotFound, "NoSuchBucket")
	case name == "" || r.URL.RawQuery != "":
		fail(w, http.StatusNotImplemented, "NotImplemented")
	default:
		s.object(w, r, name)
	}
}

// object needs mu.
func (s *Service) object(w http.ResponseWriter, r *http.Request, name string) {
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
		if r.Header.Get(checksum) == "" {
			fail(w, http.StatusBadRequest, "InvalidRequest")
			return
		}
		match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
		switch {
		case s.IgnoreConditions:
		case none != "" && none != "*":
			fail(w, http.StatusNotImplemented, "NotImplemented")
			return
		case none == "*" && ok, match != "" && ok && match != etag(have):
			if r.ContentLength > maxUnread {
				panic(http.ErrAbortHandler) // the connection is ended
			}
			fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		case match != "" && !ok:
			fail(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		switch {
		case err != nil:
			fail(w, http.StatusBadRequest, "IncompleteBody")
			return
		case r.Header.Get(payloadHash) != hashOf(body):
			fail(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
			return
		case r.Header.Get(checksum) != checksumOf(body):
			fail(w, http.StatusBadRequest, "BadDigest")
			return
		}
		s.objects[name] = body
		if s.LoseAnswers {
			panic(http.ErrAbortHandler)
		}
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

func checksumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}
