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
	hash     [32]byte      // SHA-256 of body
	modified time.Time     // zero where the body never changes
	expires  time.Time     // end of validity; zero for none
	age      time.Duration // until a cache shall ask again; below zero is at once
}

// writeCached writes a body with the headers of RFC 9919, 7.2, and answers
// conditional requests, ranges and HEAD.
func writeCached(w http.ResponseWriter, r *http.Request, c cached) {
	h := w.Header()
	age := strconv.Itoa(int(max(0, c.age) / time.Second))
	h.Set("Cache-Control", "max-age="+age+", public, no-transform, must-revalidate")
	h.Set("ETag", `"`+hex.EncodeToString(c.hash[:])+`"`)
	if !c.expires.IsZero() {
		h.Set("Expires", c.expires.UTC().Format(http.TimeFormat))
	}
	if r.Method == http.MethodPost { // preconditions on a POST are not about what it returns
		h.Set("Last-Modified", c.modified.UTC().Format(http.TimeFormat))
		write(w, r, c.body)
		return
	}
	if len(c.body) > piece { // the rest fits what a connection buffers
		w = newPaced(w)
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
