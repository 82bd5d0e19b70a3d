package scep

import (
	"net/http"
	"strconv"

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
