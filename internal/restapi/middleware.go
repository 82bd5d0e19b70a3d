package restapi

import (
	"fmt"
	"net/http"
	"path"

	"github.com/pando-pki/pando/internal/intake"
	"github.com/pando-pki/pando/internal/pki"
)

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.desk.Serve(w, r, s.route) }

// route answers a request by its path.
func (s *server) route(w http.ResponseWriter, r *http.Request) {
	if path.Clean(r.URL.Path) != r.URL.Path { // the mux would redirect, with a page for people
		s.fail(w, r, noResource())
		return
	}
	_, pattern := s.mux.Handler(r)
	if pattern == "" {
		s.noRoute(w, r)
		return
	}
	// The documents, which anybody may have, take no place: whoever read them ever so
	// slowly would keep all others out.
	if lasts, counted := s.lasts[pattern]; counted {
		leave, err := s.cfg.Limits.Request(lasts)
		if err != nil {
			r.Pattern = pattern
			s.shed(w, r, err)
			return
		}
		defer leave()
		intake.HurryBody(w, r)
	}
	s.mux.ServeHTTP(w, r)
}

// noRoute answers a request that no pattern matches, with the mux's own status
// and Allow header.
func (s *server) noRoute(w http.ResponseWriter, r *http.Request) {
	found := &headersOnly{header: http.Header{}}
	s.mux.ServeHTTP(found, r)
	if found.status == http.StatusMethodNotAllowed {
		w.Header()["Allow"] = found.header["Allow"]
		writeProblem(w, malformed(found.status, fmt.Sprintf("%s is not a method of this resource", r.Method)))
		return
	}
	s.fail(w, r, noResource())
}

func noResource() error {
	return pki.Errorf(pki.NotFound, "the API has no such resource; %s/openapi.json lists what it has", prefix)
}

// headersOnly takes an answer without its body.
type headersOnly struct {
	header http.Header
	status int
}

func (h *headersOnly) Header() http.Header         { return h.header }
func (h *headersOnly) WriteHeader(status int)      { h.status = status }
func (h *headersOnly) Write(b []byte) (int, error) { return len(b), nil }
