package status

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

const ocspResponse = "application/ocsp-response"

// A code is what a kind of error becomes on the wire.
type code struct {
	ocsp tbs.OCSPErrorStatus // of an unsigned OCSPResponse, RFC 6960, 4.2.1
	http int                 // of the other routes
}

// codeOf returns the code of a kind. Kinds that no answer about status has are
// faults of ours.
func codeOf(kind pki.Kind) code {
	switch kind {
	case pki.Malformed, pki.BadProof, pki.BadKey:
		return code{tbs.OCSPMalformedRequest, http.StatusBadRequest}
	case pki.NotFound:
		return code{tbs.OCSPUnauthorized, http.StatusNotFound}
	case pki.PolicyRefused, pki.Forbidden, pki.QuotaExceeded, pki.Unauthenticated:
		return code{tbs.OCSPUnauthorized, http.StatusForbidden}
	case pki.RateLimited:
		return code{tbs.OCSPTryLater, http.StatusTooManyRequests}
	case pki.Unavailable, pki.NotReady:
		return code{tbs.OCSPTryLater, http.StatusServiceUnavailable}
	case pki.AlreadyRevoked, pki.DuplicateKey, pki.Conflict, pki.Pending, pki.Internal:
		return code{tbs.OCSPInternalError, http.StatusInternalServerError}
	}
	return code{tbs.OCSPInternalError, http.StatusInternalServerError}
}

// failOCSP answers with an unsigned OCSPResponse, which no cache keeps.
func (s *Server) failOCSP(w http.ResponseWriter, r *http.Request, err error) {
	status := codeOf(pki.KindOf(err)).ocsp
	if status == tbs.OCSPInternalError || status == tbs.OCSPTryLater {
		s.log(r, err)
	}
	w.Header().Set("Content-Type", ocspResponse)
	w.Header().Set("Cache-Control", "no-store")
	if status == tbs.OCSPTryLater {
		w.Header().Set("Retry-After", comeAgain(err))
	}
	write(w, r, tbs.OCSPError(status))
}

// fail answers on the other routes, with one line of text.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := codeOf(pki.KindOf(err)).http
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		s.log(r, err)
		w.Header().Set("Retry-After", comeAgain(err))
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, pki.DetailOf(err), status)
}

// retryAfter is when a client may come again after a fault of ours that does not
// say.
const retryAfter = 10 * time.Second

func comeAgain(err error) string {
	after := retryAfter
	if e, ok := errors.AsType[*pki.Error](err); ok && e.RetryAfter > 0 {
		after = e.RetryAfter
	}
	return strconv.Itoa(int(math.Ceil(after.Seconds())))
}

// log logs a fault, except where the client went away, or asked for too much: then
// there would be a line for each request that must cost nothing.
func (s *Server) log(r *http.Request, err error) {
	e, ok := errors.AsType[*pki.Error](err)
	if r.Context().Err() != nil || ok && e.Kind == pki.RateLimited || ok && e.Kind == pki.Unavailable && e.Cause == nil {
		return
	}
	s.cfg.Log.ErrorContext(r.Context(), "status", "method", r.Method, "path", r.URL.EscapedPath(), "error", err)
}
