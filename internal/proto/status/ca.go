package status

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// caAge is how long a CA certificate may be kept: it never changes.
const caAge = 24 * time.Hour

// ca serves an issuer's certificates, GET /ca/{issuer}.{form}, in the forms that
// revocation.ChainForms lists.
func (s *Server) ca(w http.ResponseWriter, r *http.Request, tail string) {
	if !allowed(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	issuer, form, _ := strings.Cut(tail, ".")
	chain, err := s.cfg.Chains.Chain(r.Context(), pki.IssuerID(issuer))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	contentType, body, err := revocation.EncodeChain(form, chain)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	writeCached(w, r, cached{body: body, hash: sha256.Sum256(body), age: caAge})
}
