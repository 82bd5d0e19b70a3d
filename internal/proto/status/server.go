// Package status serves what relying parties fetch without TLS: OCSP (RFC 6960,
// appendix A; RFC 9919), CRLs and CA certificates (RFC 5280, 4.2.1.13 and
// 4.2.2.1), under the URLs that certificates name.
package status

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// A Validator answers about status; revocation.Service is one.
type Validator interface {
	Respond(ctx context.Context, issuer pki.IssuerID, request []byte) (*revocation.Response, error)
	CRL(ctx context.Context, list revocation.List) (*revocation.CRL, error)
}

// Chains finds the certificates of issuers.
type Chains interface {
	// Chain returns DER certificates: the issuer's own, then up to and with the
	// root. NotFound where there is no such issuer, or it has no certificate.
	Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error)
}

// A Limiter bounds what one source may ask and what is under way; limit.Limits is
// one.
type Limiter interface {
	// Answer is RateLimited or Unavailable, or leave ends the request. The source may
	// have a share of what is under way, and no more.
	Answer(remote string) (leave func(), err error)
}

// Config is what a Server is made of; every field is needed.
type Config struct {
	Validator Validator
	Chains    Chains
	Limiter   Limiter
	Now       pki.Clock
	Log       *slog.Logger
}

// A Server serves status over HTTP.
type Server struct{ cfg Config }

// New returns a Server.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

// Handler serves
//
//	POST /ocsp/{issuer}
//	GET  /ocsp/{issuer}/{request in base64}
//	GET  /crl/{issuer}/{shard}.crl and {shard}-delta.crl
//	GET  /ca/{issuer}.cer, .pem and .p7c
//
// and hands every other path to rest. It must stand before any http.ServeMux: a
// mux redirects paths with "//", which the base64 of an OCSP request may have. As a
// mux does it sets the request's Pattern.
func (s *Server) Handler(rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath() // as it came: "%2F" in base64 is not a separator
		if tail, ok := strings.CutPrefix(path, "/ocsp/"); ok {
			s.limited(w, r, "/ocsp/{issuer}", tail, s.ocsp, s.failOCSP)
		} else if tail, ok := strings.CutPrefix(path, "/crl/"); ok {
			s.limited(w, r, "/crl/{issuer}/{file}", tail, s.crl, s.fail)
		} else if tail, ok := strings.CutPrefix(path, "/ca/"); ok {
			s.limited(w, r, "/ca/{file}", tail, s.ca, s.fail)
		} else {
			rest.ServeHTTP(w, r)
		}
	})
}

// limited serves a request within the limits, in the words of its route.
func (s *Server) limited(w http.ResponseWriter, r *http.Request, pattern, tail string,
	serve func(http.ResponseWriter, *http.Request, string), fail func(http.ResponseWriter, *http.Request, error)) {
	r.Pattern = pattern
	leave, err := s.cfg.Limiter.Answer(r.RemoteAddr)
	if err != nil {
		fail(w, r, err)
		return
	}
	defer leave()
	if r.Body != http.NoBody {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
	}
	serve(w, r, tail)
}

// allowed answers 405 unless the request's method is among those given.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}
