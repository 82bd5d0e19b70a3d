package restapi

import (
	"io"
	"net/http"
	"time"
)

// patience is how long a stream may stand still. It takes the place of the
// listener's bounds on a whole request, which a large batch would exceed.
const patience = time.Minute

// slowly returns a request's body that may take as long as it likes, if it does
// not stand still; so may the answer to it.
func slowly(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	return &patientReader{ReadCloser: body, conn: http.NewResponseController(w)}
}

type patientReader struct {
	io.ReadCloser
	conn *http.ResponseController
	end  error // of the body; nil before it
}

// Read reads a part. After the end it sets no deadline: net/http reads by then, to
// see the client go away.
func (p *patientReader) Read(b []byte) (n int, err error) {
	if p.end != nil {
		return 0, p.end
	}
	// A writer without deadlines has none to prolong; likewise below.
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	_ = p.conn.SetWriteDeadline(time.Now().Add(2 * patience))
	n, p.end = p.ReadCloser.Read(b)
	return n, p.end
}

// stream is an answer of any length, that may pause for as long as it likes; the
// client may not be slow to take each part.
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w, http.NewResponseController(w)}
	s.rest()
	return s
}

// rest lets the stream pause: HTTP/2 ends a stream whose deadline passes, even
// if nothing is being written.
func (s *stream) rest() { _ = s.conn.SetWriteDeadline(time.Time{}) }

func (s *stream) hurry() { _ = s.conn.SetWriteDeadline(time.Now().Add(patience)) }

// Write sends a part, or buffers it.
func (s *stream) Write(b []byte) (int, error) {
	s.hurry()
	defer s.rest()
	return s.w.Write(b)
}

// Flush sends what is buffered.
func (s *stream) Flush() error {
	s.hurry()
	defer s.rest()
	return s.conn.Flush()
}

// End bounds how long the rest may take, which is sent when the handler returns.
func (s *stream) End() { s.hurry() }
