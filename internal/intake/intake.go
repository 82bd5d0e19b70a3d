// Package intake is what every way in over HTTP does with a request before its
// protocol reads it: it gives it an id, bounds how long it may take, has the limits
// say whether it finds a place, ends it alone when it panics, and logs it.
//
// It knows no protocol: what a refusal looks like is its user's.
package intake

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// RequestIDHeader tells the client what the log calls its request.
const RequestIDHeader = "Request-Id"

type requestIDKey struct{}

// RequestID returns what the log calls the request, for tracing.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// A Desk takes the requests of one way in. All its fields are needed.
type Desk struct {
	// Log gets one line a request at level debug, refused credentials at warn, and
	// panics.
	Log *slog.Logger
	// Fail answers a request with an error in the words of the protocol.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
}

// Serve has next answer one request, whose Pattern it sets as a mux does.
func (d *Desk) Serve(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	id, begun := pki.NewOpaqueID(), time.Now()
	came := r
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	defer func() { came.Pattern = r.Pattern }() // for whoever stands before
	out := &response{ResponseWriter: w}
	out.Header().Set(RequestIDHeader, id)
	out.Header().Set("Cache-Control", "no-store")
	out.Header().Set("X-Content-Type-Options", "nosniff")
	defer func() {
		defer d.logRequest(out, r, begun)
		if v := recover(); v != nil {
			d.recovered(out, r, v)
		}
	}()
	next(out, r)
}

// recovered answers a request whose handler panicked, if nothing was sent yet;
// otherwise it cuts the connection, so that the client sees that it was cut.
func (d *Desk) recovered(out *response, r *http.Request, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	d.Log.ErrorContext(r.Context(), "panic in a request", "request", RequestID(r.Context()),
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if out.status != 0 {
		panic(http.ErrAbortHandler)
	}
	d.Fail(out, r, nil)
}

func (d *Desk) logRequest(out *response, r *http.Request, begun time.Time) {
	level := slog.LevelDebug
	if out.status == http.StatusUnauthorized || out.status == http.StatusForbidden {
		level = slog.LevelWarn
	}
	d.Log.Log(r.Context(), level, "request", "request", RequestID(r.Context()), "route", r.Pattern,
		"status", out.status, "bytes", out.bytes, "duration", time.Since(begun), "from", r.RemoteAddr)
}

// BodyPatience is how long the whole body of a request may take that is no stream:
// its place is one of few.
const BodyPatience = 5 * time.Second

// HurryBody bounds how long the body of a request may take.
func HurryBody(w http.ResponseWriter, r *http.Request) {
	if r.Body != http.NoBody { // else net/http waits for the client to go away
		// Also where nothing reads the body: net/http itself does, before it answers.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(BodyPatience))
	}
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
