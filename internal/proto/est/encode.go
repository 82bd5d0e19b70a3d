package est

import (
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/pando-pki/pando/internal/cms"
)

// writeCertificates answers with a certs-only CMS message.
func writeCertificates(w http.ResponseWriter, r *http.Request, contentType string, certificates [][]byte) error {
	message, err := cms.CertsOnly(certificates)
	if err != nil {
		return err
	}
	writeBase64(w, r, contentType, message)
	return nil
}

// maxOneRecord is the longest body that net/http sends together with its headers: it keeps
// that much of what a handler writes, and twice that with the headers.
const maxOneRecord = 2 << 10

// writeBase64 answers with one line of base64 and its length: clients in the field
// read neither lines nor chunks. strongSwan 5.9.8 reads twice and no more, 1,024 octets and
// what is left of the body, and takes a TLS record at a time: an answer is one record, or its
// body has one of its own.
// The header of the encoding says what RFC 8951, 3 makes true without it, for clients of
// before.
func writeBase64(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	text := base64.StdEncoding.AppendEncode(nil, body)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Transfer-Encoding", "base64")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	// Errors are the client's going away.
	if len(text) > maxOneRecord {
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = w.Write(text)
}
