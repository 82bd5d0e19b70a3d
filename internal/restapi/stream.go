package restapi

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// patience is how long a stream may stand still. It takes the place of the
// listener's bounds on a whole request, which a large batch would exceed.
const patience = time.Minute

// slowly returns a request's body that may take as long as it likes, if it does
// not stand still.
func slowly(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	return &patientReader{body, http.NewResponseController(w)}
}

type patientReader struct {
	io.ReadCloser
	conn *http.ResponseController
}

// Read reads a part.

func (p *patientReader) Read(b []byte) (int, error) {
	// A writer without deadlines, as in tests, has none to prolong.
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	return p.ReadCloser.Read(b)
}

// stream is an answer of any length: the same for what is written.
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream { return &stream{w, http.NewResponseController(w)} }

// Write sends a part.
func (s *stream) Write(b []byte) (int, error) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(patience))
	return s.w.Write(b)
}

// Flush sends what is buffered.
func (s *stream) Flush() error { return s.conn.Flush() }

// readQuery returns the query's parameters, of which each is known and stands
// once: a misspelt dry_run must not issue.
func readQuery(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, pki.Errorf(pki.Malformed, "the query cannot be read")
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return nil, pki.Errorf(pki.Malformed, "unknown query parameter %.40q", name)
		}
		if len(values) > 1 {
			return nil, pki.Errorf(pki.Malformed, "the query parameter %s stands there twice", name)
		}
	}
	return q, nil
}
