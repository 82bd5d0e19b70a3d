package est

import (
	"bytes"
	"encoding/base64"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// serverKeyGen serves POST serverkeygen, RFC 7030, 4.4: a certificate for a key that is
// made here, and the key. There is no idempotency key, since the key can be had once:
// the same request again is another certificate for another key.
func (s *Server) serverKeyGen(w http.ResponseWriter, r *http.Request) error {
	q, leave, err := s.asked(w, r, false)
	if err != nil {
		return err
	}
	defer leave()
	sealed, err := sealingOf(r, q.CSR)
	if err == nil && sealed != nil {
		err = s.derive(r.Context(), q.Endpoint, sealed)
	}
	if err != nil {
		return s.refused(r, q.Endpoint, q.Grant.Principal(), "", err)
	}
	if q.MakeKey = enroll.KeyPlain; sealed != nil {
		q.MakeKey = enroll.KeySealed
	}
	got, err := s.cfg.RA.Enroll(r.Context(), q)
	if err != nil {
		return err
	}
	defer got.Key.Clear()
	return writeKey(w, sealed, got)
}

// A part is one of the two of an answer with a key.
type part struct {
	contentType string
	content     []byte
}

// writeKey answers with a private key, as PKCS #8 or encrypted for its requester, and
// then its certificate as in the answer to simpleenroll (RFC 7030, 4.4.2).
func writeKey(w http.ResponseWriter, sealed *sealing, got *pki.Enrollment) error {
	certificates, err := cms.CertsOnly([][]byte{got.Certificate.DER})
	if err != nil {
		return err
	}
	key := part{"application/pkcs8", got.Key.Reveal()}
	if sealed != nil {
		if key.content, err = sealed.seal(key.content); err != nil {
			return err
		}
		key.contentType = "application/pkcs7-mime; smime-type=server-generated-key"
	}
	parts := [...]part{key, {"application/pkcs7-mime; smime-type=certs-only", certificates}}
	size := 1000 // of boundaries and headers
	for _, p := range parts {
		size += base64.StdEncoding.EncodedLen(len(p.content))
	}
	body := bytes.NewBuffer(make([]byte, 0, size)) // whole, so that no copy of the key stays behind
	defer func() { clear(body.Bytes()) }()
	whole := multipart.NewWriter(body)
	for _, p := range parts {
		into, err := whole.CreatePart(textproto.MIMEHeader{"Content-Type": {p.contentType}, "Content-Transfer-Encoding": {"base64"}})
		if err != nil {
			return err
		}
		text := base64.StdEncoding.AppendEncode(nil, p.content)
		into.Write(text) // to memory
		clear(text)
	}
	if err := whole.Close(); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "multipart/mixed; boundary="+whole.Boundary())
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store")
	w.Write(body.Bytes()) // an error is the client's going away, and the key is gone
	return nil
}
