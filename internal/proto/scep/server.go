package scep

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// An Enroller is the registration authority; enroll.Service is one.
type Enroller interface {
	// Admit refuses requests from where an endpoint takes none.
	Admit(ctx context.Context, label, remote string) error
	Enroll(ctx context.Context, r enroll.Request) (*pki.Enrollment, error)
	// Issued returns the certificate that an idempotency key of a device's, "" for none, led
	// to, or NotFound, also where that has ended.
	Issued(ctx context.Context, g access.Permit, protocol pki.Protocol, device pki.DeviceID, idempotency string) (*pki.Certificate, error)
	// Answers reports whether a certificate that a request led to is the answer to the same
	// request now, or refuses that.
	Answers(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (bool, error)
	// NoteRefusal has operators see what is refused here, once, and returns err marked so.
	NoteRefusal(ctx context.Context, r enroll.Refusal, err error) error
}

// An RA is what an endpoint's messages are signed and opened with.
type RA struct {
	Issuer     *pki.Issuer // that certificates come from
	Chain      [][]byte    // DER: the issuer's certificate, and up to and with the root
	Links      [][]byte    // DER: NewWithOld and OldWithNew, where a root follows another (RFC 9810, 4.4)
	Signer     Signer
	Recipients []cms.Key // by which requests are opened; the one to encrypt to is first
	Next       *RA       // of the authority's next issuer; nil where there is none
	Earlier    []*RA     // of issuers before: clients that know these alone are answered by them
	Legacy     bool      // SHA-1, DES and 3DES, and other nonces than those of RFC 8894, are taken
}

// Authorities finds the RA of an endpoint.
type Authorities interface {
	// RA is NotFound where no endpoint has the label, or it does not take SCEP.
	RA(ctx context.Context, label string) (*RA, error)
}

// A Prover proves who asks; enrolauth.Service is one.
type Prover interface {
	// Prove returns who asks at an endpoint, or is Unauthenticated.
	Prove(ctx context.Context, label string, p enrolauth.Presented) (access.Principal, error)
	// Await has whoever took a challenge outside be told what becomes of the request, which
	// settle says.
	Await(ctx context.Context, who access.Principal, a enrolauth.Awaited) (settle func(context.Context, error) error, err error)
	// Refused has them be told that a request came to nothing before it was enrolled.
	Refused(ctx context.Context, who access.Principal, a enrolauth.Awaited, why error) error
}

// Config is what a Server is made of; every field is needed but Limits, where nil limits
// nothing.
type Config struct {
	RA           Enroller
	Authorities  Authorities
	Prover       Prover
	Store        Store
	Certificates Certificates
	CRLs         CRLs
	Sealer       enrolauth.Sealer // of requests that wait
	Limits       *limit.Limits
	Now          pki.Clock
	Log          *slog.Logger
}

// A Server serves SCEP over HTTP. Its methods are safe for concurrent use.
type Server struct {
	cfg  Config
	seed maphash.Seed // of credentials

	passwords *passwords
}

// New returns a Server.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, seed: maphash.MakeSeed(), passwords: newPasswords()}
}

// prefix is where SCEP is served. What clients append to an endpoint's URL, as
// "/pkiclient.exe" of the first servers, is not looked at.
const prefix = "/scep/"

// Handler serves GET and POST /scep/{label}, and hands every other path to rest.
func (s *Server) Handler(rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tail, ok := strings.CutPrefix(r.URL.Path, prefix)
		if !ok {
			rest.ServeHTTP(w, r)
			return
		}
		r.Pattern = prefix + "{label}"
		leave, err := s.cfg.Limits.Message(r.RemoteAddr)
		if err == nil {
			defer leave()
			label, _, _ := strings.Cut(tail, "/")
			if err = s.serve(w, r, label); err != nil {
				err = s.cfg.RA.NoteRefusal(r.Context(), enroll.Refusal{Label: label, Protocol: pki.ProtocolSCEP, Remote: r.RemoteAddr}, err)
			}
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// serve serves one operation (RFC 8894, 4.1). An error is answered by HTTP alone.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, label string) error {
	ra, err := s.cfg.Authorities.RA(r.Context(), label)
	if err != nil {
		return err
	}
	operation := r.URL.Query().Get("operation")
	switch {
	case operation == "PKIOperation":
		if err := s.cfg.RA.Admit(r.Context(), label, r.RemoteAddr); err != nil {
			return err // before the message is read
		}
		return s.pkiOperation(w, r, label, ra)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		return statusError{http.StatusMethodNotAllowed, pki.Errorf(pki.Malformed, "%.20q is asked for by GET", operation)}
	case operation == "GetCACaps":
		return getCACaps(w, r, ra)
	case operation == "GetCACert":
		return getCACert(w, r, ra)
	case operation == "GetNextCACert":
		return getNextCACert(w, r, ra)
	}
	return pki.Errorf(pki.Malformed, "operation %.40q: it is GetCACaps, GetCACert, GetNextCACert or PKIOperation", operation)
}
