package restapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// requestIDHeader tells the client what the log calls its request.
const requestIDHeader = "Request-Id"

type requestIDKey struct{}

// requestID returns what the log calls the request, for tracing.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// ServeHTTP answers one request: it names it, ends it alone if it panics, and
// logs it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, begun := pki.NewOpaqueID(), time.Now()
	came := r
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	defer func() { came.Pattern = r.Pattern }() // for whoever stands before
	out := &response{ResponseWriter: w}
	out.Header().Set(requestIDHeader, id)
	out.Header().Set("Cache-Control", "no-store")
	out.Header().Set("X-Content-Type-Options", "nosniff")
	defer func() {
		defer s.logRequest(out, r, begun)
		if v := recover(); v != nil {
			s.recovered(out, r, v)
		}
	}()
	if path.Clean(r.URL.Path) != r.URL.Path { // the mux would redirect, with a page for people
		s.fail(out, r, noResource())
		return
	}
	_, pattern := s.mux.Handler(r)
	if pattern == "" {
		s.noRoute(out, r)
		return
	}
	// The documents, which anybody may have, take no place: whoever read them ever so
	// slowly would keep all others out.
	if lasts, counted := s.lasts[pattern]; counted {
		leave, err := s.cfg.Limits.Request(lasts)
		if err != nil {
			r.Pattern = pattern
			s.shed(out, err)
			return
		}
		defer leave()
		if r.Body != http.NoBody { // else net/http waits for the client to go away
			// Also where nothing reads the body: net/http itself does, before it answers.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
		}
	}
	s.mux.ServeHTTP(out, r)
}

// recovered answers a request whose handler panicked, if nothing was sent yet;
// otherwise it cuts the connection, so that the client sees that it was cut.
func (s *server) recovered(out *response, r *http.Request, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.log.ErrorContext(r.Context(), "panic in a request", "request", requestID(r.Context()),
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if out.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeProblem(out, &newRefusal(nil).Problem)
}

// noRoute answers a request that no pattern matches, with the mux's own status
// and Allow header.
func (s *server) noRoute(out *response, r *http.Request) {
	found := &headersOnly{header: http.Header{}}
	s.mux.ServeHTTP(found, r)
	if found.status == http.StatusMethodNotAllowed {
		out.Header()["Allow"] = found.header["Allow"]
		writeProblem(out, malformed(found.status, fmt.Sprintf("%s is not a method of this resource", r.Method)))
		return
	}
	s.fail(out, r, noResource())
}

func noResource() error {
	return pki.Errorf(pki.NotFound, "the API has no such resource; %s/openapi.json lists what it has", prefix)
}

func (s *server) logRequest(out *response, r *http.Request, begun time.Time) {
	level := slog.LevelDebug
	if out.status == http.StatusUnauthorized || out.status == http.StatusForbidden {
		level = slog.LevelWarn
	}
	s.log.Log(r.Context(), level, "request", "request", requestID(r.Context()), "route", r.Pattern,
		"status", out.status, "bytes", out.bytes, "duration", time.Since(begun), "from", r.RemoteAddr)
}

// response remembers what was sent.
type response struct {
	http.ResponseWriter
	status int // 0 before anything was sent
	bytes  int64
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the status.
func (w *response) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// headersOnly takes an answer without its body.
type headersOnly struct {
	header http.Header
	status int
}

func (h *headersOnly) Header() http.Header         { return h.header }
func (h *headersOnly) WriteHeader(status int)      { h.status = status }
func (h *headersOnly) Write(b []byte) (int, error) { return len(b), nil }
