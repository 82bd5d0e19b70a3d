// Package est serves Enrollment over Secure Transport (RFC 7030, with the encodings
// of RFC 8951) on the listener for devices: CA certificates, enrolment,
// re-enrolment, and enrolment with a key that is made here. Full CMC is not served.
//
// It turns bytes into an enroll.Request, has whoever asks proved, and turns the
// certificate, or the kind of an error, back into bytes. What may be issued it does
// not know.
package est

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/intake"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// prefix stands before every path, RFC 7030, 3.2.2.
const prefix = "/.well-known/est/"

// An RA enrols; enroll.Service is one.
type RA interface {
	// Admit refuses requests from where an endpoint takes none.
	Admit(ctx context.Context, label, remote string) error
	Enroll(ctx context.Context, r enroll.Request) (*pki.Enrollment, error)
	// CACertificates returns the certificates of authorities that clients of an
	// endpoint need, in DER; NotFound where there is none that takes the protocol.
	CACertificates(ctx context.Context, label string, protocol pki.Protocol) ([][]byte, error)
	// RequestAttributes returns what a request must have at an endpoint, as DER
	// CsrAttrs; nil where that is nothing.
	RequestAttributes(ctx context.Context, label string, protocol pki.Protocol) ([]byte, error)
	// NoteRefusal has operators see what is refused here, once, and returns err marked so.
	NoteRefusal(ctx context.Context, r enroll.Refusal, err error) error
}

// Config is what a Server is made of. Every field but Default and Limits is needed.
type Config struct {
	RA     RA
	Prover Prover
	// Default is the label of the endpoint that paths without a label mean; "" is none.
	Default string
	// Limits bounds what one tenant and one source may take. Nil limits nothing.
	Limits *limit.Limits
	// Log gets one line a request at level debug, refused credentials at warn, and the
	// causes of failures. No secret is logged.
	Log *slog.Logger
}

// A Server serves EST. It is not changed after New.
type Server struct {
	cfg  Config
	desk *intake.Desk
	mux  *http.ServeMux
	seed maphash.Seed
}

// New returns a Server.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, mux: http.NewServeMux(), seed: maphash.MakeSeed()}
	s.desk = &intake.Desk{Log: cfg.Log, Fail: s.fail}
	for _, o := range s.operations() {
		s.mux.HandleFunc(o.method+" "+prefix+o.name, s.bounded(o.serve))
		s.mux.HandleFunc(o.method+" "+prefix+"{label}/"+o.name, s.bounded(o.serve))
	}
	return s
}

// An operation is one of RFC 7030, 3.2.2.
type operation struct {
	method, name string
	serve        func(http.ResponseWriter, *http.Request) error
}

func (s *Server) operations() []operation {
	return []operation{
		{http.MethodGet, "cacerts", s.caCertificates},
		{http.MethodPost, "simpleenroll", s.simpleEnroll},
		{http.MethodPost, "simplereenroll", s.simpleReenroll},
		{http.MethodPost, "serverkeygen", s.serverKeyGen},
		{http.MethodGet, "csrattrs", s.requestAttributes},
	}
}

// Handler serves the paths of EST and hands every other to rest.
func (s *Server) Handler(rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(path.Clean(r.URL.Path)+"/", prefix) {
			rest.ServeHTTP(w, r)
			return
		}
		s.desk.Serve(w, r, s.route)
	})
}

// route answers a request by its path; the mux alone would answer some with a page for
// people.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern != "" && path.Clean(r.URL.Path) == r.URL.Path {
		s.mux.ServeHTTP(w, r)
		return
	}
	name := path.Base(r.URL.Path)
	at := slices.IndexFunc(s.operations(), func(o operation) bool { return o.name == name && o.method != r.Method })
	if at < 0 {
		s.fail(w, r, pki.Errorf(pki.NotFound, "EST has no such operation here: the path is %s{label}/{operation}", prefix))
		return
	}
	w.Header().Set("Allow", s.operations()[at].method)
	s.fail(w, r, precise(http.StatusMethodNotAllowed, "%s is asked for by %s", name, s.operations()[at].method))
}

// bounded serves an operation within the places that there are.
func (s *Server) bounded(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		leave, err := s.cfg.Limits.Request(false)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		defer leave()
		intake.HurryBody(w, r)
		if err := serve(w, r); err != nil {
			if label, none := s.label(r); none == nil {
				err = s.refused(r, label, access.Principal{}, "", err)
			}
			s.fail(w, r, err)
		}
	}
}

// label returns the label of the endpoint that a request is for.
func (s *Server) label(r *http.Request) (string, error) {
	label := r.PathValue("label")
	if label == "" {
		label = s.cfg.Default
	}
	if label == "" {
		return "", pki.Errorf(pki.NotFound, "there is no default endpoint: name one in the path, %s{tenant}.{name}/...", prefix)
	}
	if _, _, ok := strings.Cut(label, "."); !ok {
		return "", noEndpoint(label)
	}
	return label, nil
}

func noEndpoint(label string) error { return pki.Errorf(pki.NotFound, "no endpoint %.90q", label) }

// caCertificates serves GET cacerts, RFC 7030, 4.1: to anybody, since whoever asks
// may have nothing yet to prove who it is.
func (s *Server) caCertificates(w http.ResponseWriter, r *http.Request) error {
	label, err := s.label(r)
	if err != nil {
		return err
	}
	certificates, err := s.cfg.RA.CACertificates(r.Context(), label, pki.ProtocolEST)
	if err != nil {
		return err
	}
	return writeCertificates(w, r, "application/pkcs7-mime", certificates)
}
