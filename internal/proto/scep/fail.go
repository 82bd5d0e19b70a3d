package scep

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A failInfo says why a request failed (RFC 8894, 3.2.1.4). badTime (3) is for legacy
// clients alone, by the RFC's own word, and never sent: no signing time is looked at.
type failInfo uint8

// The failure reasons.
const (
	badAlg          failInfo = 0
	badMessageCheck failInfo = 1
	badRequest      failInfo = 2
	badCertID       failInfo = 4
)

// value returns the reason as it stands in messages.
func (f failInfo) value() string { return strconv.Itoa(int(f)) }

// A code is what a kind of error becomes on the wire: a CertRep with a reason, or where
// that cannot be made, and where the client is to come again, a status of HTTP.
type code struct {
	failInfo failInfo
	http     int
	again    bool // HTTP also where a CertRep could be made: SCEP has no word for "later"
}

// codeOf returns the code of a kind. Pending is none of its errors: it is PENDING.
func codeOf(kind pki.Kind) code {
	switch kind {
	case pki.Malformed:
		return code{badRequest, http.StatusBadRequest, false}
	case pki.BadProof:
		return code{badMessageCheck, http.StatusBadRequest, false}
	case pki.BadKey:
		return code{badAlg, http.StatusBadRequest, false}
	case pki.PolicyRefused, pki.Forbidden, pki.QuotaExceeded:
		return code{badRequest, http.StatusForbidden, false}
	case pki.Unauthenticated:
		return code{badMessageCheck, http.StatusForbidden, false} // not 401: HTTP has nothing to prove it with
	case pki.NotFound:
		return code{badCertID, http.StatusNotFound, false}
	case pki.AlreadyRevoked, pki.DuplicateKey, pki.Conflict, pki.NotReady:
		return code{badRequest, http.StatusConflict, false}
	case pki.RateLimited, pki.Unavailable:
		return code{badRequest, http.StatusServiceUnavailable, true}
	case pki.Pending, pki.Internal:
		return code{badRequest, http.StatusInternalServerError, true}
	}
	return code{badRequest, http.StatusInternalServerError, true}
}

// A statusError is an error with a status of HTTP of its own.
type statusError struct {
	status int
	error
}

func (e statusError) Unwrap() error { return e.error }

// retryAfter is when a client may come again after a fault of ours that does not say.
const retryAfter = 10 * time.Second

// fail answers by HTTP alone, with one line of text.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := codeOf(pki.KindOf(err)).http
	if e, ok := errors.AsType[statusError](err); ok {
		status = e.status
	}
	if status >= http.StatusInternalServerError {
		after := retryAfter
		e, ok := errors.AsType[*pki.Error](err)
		if ok && e.RetryAfter > 0 {
			after = e.RetryAfter
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
		if r.Context().Err() == nil && !(ok && (e.Kind == pki.RateLimited || e.Kind == pki.Unavailable && e.Cause == nil)) {
			s.cfg.Log.ErrorContext(r.Context(), "SCEP", "path", r.URL.Path, "from", r.RemoteAddr, "error", err)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, pki.DetailOf(err), status)
}

// log logs what a CertRep refuses. No challenge is in it.
func (s *Server) log(r *http.Request, label string, m *message, err error) {
	s.cfg.Log.LogAttrs(r.Context(), slog.LevelInfo, "SCEP refused", slog.String("endpoint", label), slog.String("type", m.kind.String()),
		slog.String("transaction", m.id), slog.String("from", r.RemoteAddr), slog.String("kind", pki.KindOf(err).String()), slog.Any("error", err))
}
