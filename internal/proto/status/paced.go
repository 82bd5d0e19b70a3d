package status

import (
	"net/http"
	"time"
)

// A long answer is sent in pieces, each of which its client must take in time; the
// whole may take as long as it likes. Slower than some 1,100 bytes a second is not
// slow but stalled, and its place is needed.
const (
	piece    = 16 << 10
	patience = 15 * time.Second
)

// bodyPatience is how long a request's body may take.
const bodyPatience = 5 * time.Second

// paced is the writer of a long answer.
type paced struct {
	http.ResponseWriter
	conn *http.ResponseController
}

func newPaced(w http.ResponseWriter) *paced { return &paced{w, http.NewResponseController(w)} }

// Unwrap lets http.ResponseController reach the connection.
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Write sends a part.
func (p *paced) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		// A writer without deadlines has none to prolong.
		_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
		var sent int
		sent, err = p.ResponseWriter.Write(b[:min(piece, len(b))])
		n, b = n+sent, b[sent:]
	}
	return n, err
}
