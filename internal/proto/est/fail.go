package est

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/intake"
	"github.com/pando-pki/pando/internal/pki"
)

// statusOf returns the HTTP status of a kind, RFC 7030, 4.2.3: anything but 200 and
// 202 is a refusal.
func statusOf(kind pki.Kind) int {
	switch kind {
	case pki.Malformed, pki.BadProof, pki.BadKey:
		return http.StatusBadRequest
	case pki.PolicyRefused, pki.Forbidden, pki.QuotaExceeded:
		return http.StatusForbidden
	case pki.Unauthenticated:
		return http.StatusUnauthorized
	case pki.NotFound:
		return http.StatusNotFound
	case pki.AlreadyRevoked, pki.DuplicateKey, pki.Conflict, pki.NotReady:
		return http.StatusConflict
	case pki.RateLimited:
		return http.StatusTooManyRequests
	case pki.Unavailable:
		return http.StatusServiceUnavailable
	case pki.Pending:
		return http.StatusAccepted
	}
	return http.StatusInternalServerError
}

// imprecise is a Malformed error that HTTP has a status of its own for.
type imprecise struct {
	error
	status int
}

func (e imprecise) Unwrap() error { return e.error }

// precise returns a Malformed error with a status.
func precise(status int, format string, args ...any) error {
	return imprecise{pki.Errorf(pki.Malformed, format, args...), status}
}

// comeAgain is the Retry-After of an error that does not say.
const comeAgain = 5 * time.Second

// fail answers with what went wrong, in one line of text for people (RFC 7030, 4.2.3).
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := pki.KindOf(err)
	status := statusOf(kind)
	if e, ok := errors.AsType[imprecise](err); ok {
		status = e.status
	}
	s.report(r, kind, err)
	h := w.Header()
	switch kind {
	case pki.Unauthenticated:
		h.Set("WWW-Authenticate", `Basic realm="EST"`)
	case pki.RateLimited, pki.Unavailable, pki.Pending:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(retryAfter(err).Seconds()))))
	}
	body := pki.DetailOf(err) + "\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprint(w, body) // an error is the client's going away
	}
}

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*pki.Error](err); ok && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return comeAgain
}

// refused has operators see a refusal of who asks, the zero Principal where nobody was
// proved, and then of the device that is claimed; nil is none. Operators see it once, by
// whoever knows most of it.
func (s *Server) refused(r *http.Request, label string, who access.Principal, claimed pki.DeviceID, err error) error {
	if err == nil {
		return nil
	}
	return s.cfg.RA.NoteRefusal(r.Context(), enroll.Refusal{Label: label, Protocol: pki.ProtocolEST, Remote: r.RemoteAddr, Who: who, Device: claimed}, err)
}

// report logs an error that says more than its answer shows.
func (s *Server) report(r *http.Request, kind pki.Kind, err error) {
	level := slog.LevelInfo
	switch {
	case err == nil || r.Context().Err() != nil: // a panic, logged already; or the client went away
		level = slog.LevelDebug
	case kind == pki.Internal:
		level = slog.LevelError
	case err.Error() == pki.DetailOf(err): // the access line says the rest
		return
	}
	s.cfg.Log.Log(r.Context(), level, "EST", "request", intake.RequestID(r.Context()), "kind", kind.String(), "error", err)
}
