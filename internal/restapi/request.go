package restapi

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// idempotencyHeader makes the same request the same act, however often it is sent.
const idempotencyHeader = "Idempotency-Key"

// maxIdempotencyKey is the length of the longest key, in bytes.
const maxIdempotencyKey = 128

// checkRequest refuses, on every route, what two programs may read differently: a
// parameter or a key of which there are two, an empty parameter, which whoever sent it
// takes for a criterion, an empty key, which they take for protection, and text that is
// not UTF-8.
func checkRequest(r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return pki.Errorf(pki.Malformed, "the query cannot be read")
	}
	for name, values := range q {
		if len(values) > 1 {
			return pki.Errorf(pki.Malformed, "the query parameter %.40q stands there twice", name)
		}
		if values[0] == "" {
			return pki.Errorf(pki.Malformed, "the query parameter %.40q is empty: leave it out, or say what it is to be", name)
		}
	}
	if keys, given := r.Header[idempotencyHeader]; given {
		switch {
		case len(keys) > 1:
			return pki.Errorf(pki.Malformed, "%s stands there twice", idempotencyHeader)
		case strings.TrimSpace(keys[0]) == "":
			return pki.Errorf(pki.Malformed, "%s is empty: without a key leave it out", idempotencyHeader)
		case len(keys[0]) > maxIdempotencyKey:
			return pki.Errorf(pki.Malformed, "%s: it has %d bytes at most", idempotencyHeader, maxIdempotencyKey)
		}
	}
	if _, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil {
		if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
			return pki.Errorf(pki.Malformed, "charset %.40q: text is read as UTF-8 alone", charset)
		}
	}
	return nil
}

// readQuery returns the query's parameters, of which each is known: a misspelt
// dry_run must not issue. checkRequest has seen that each stands once.
func readQuery(r *http.Request, known ...string) (url.Values, error) {
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains(known, name) {
			return nil, pki.Errorf(pki.Malformed, "unknown query parameter %.40q", name)
		}
	}
	return q, nil
}
