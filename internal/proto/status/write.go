package status

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
)

// cached is a body that HTTP caches may keep.
type cached struct {
	body     []byte
	hash     [32]byte  // SHA-256 of body
	modified time.Time // zero where the body never changes
	expires  time.Time // end of validity; zero for none
	maxAge   time.Duration
}

// writeCached writes a body with the headers of RFC 9919, 7.2 (RFC 5019, 6.2),
// and answers conditional requests and HEAD. It may be kept for half of what is
// left of its validity, so that a cache asks again well before its end, and for
// maxAge at most.
func (s *Server) writeCached(w http.ResponseWriter, r *http.Request, c cached) {
	h := w.Header()
	age := c.maxAge
	if !c.expires.IsZero() {
		h.Set("Expires", c.expires.UTC().Format(http.TimeFormat))
		age = max(0, min(age, c.expires.Sub(s.cfg.Now())/2))
	}
	h.Set("Cache-Control", "max-age="+strconv.Itoa(int(age/time.Second))+", public, no-transform, must-revalidate")
	h.Set("ETag", `"`+hex.EncodeToString(c.hash[:16])+`"`)
	if r.Method == http.MethodPost { // preconditions on a POST are not about what it returns
		h.Set("Last-Modified", c.modified.UTC().Format(http.TimeFormat))
		write(w, r, c.body)
		return
	}
	http.ServeContent(w, r, "", c.modified, bytes.NewReader(c.body))
}

// write writes a body with its length, or its length alone for HEAD.
func write(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // an error is the client's going away
	}
}
