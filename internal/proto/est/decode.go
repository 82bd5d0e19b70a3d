package est

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// maxBody is the size of the largest request: the base64 of the largest CSR, in lines.
const maxBody = tbs.MaxCSR/3*4 + tbs.MaxCSR/3*4/64*2 + 64

// readCSR reads the body of an enrolment, a PKCS #10 request (RFC 7030, 4.2.1) in
// base64 of any line length (RFC 8951, 3 and 3.1). Content-Transfer-Encoding is not
// looked at: with or without it, the body is base64.
func readCSR(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	given := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(given); err != nil || media != "application/pkcs10" {
		return nil, precise(http.StatusUnsupportedMediaType, "the content type is %.60q; it is application/pkcs10", given)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, precise(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", maxBody)
	}
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "the body did not come whole")
	}
	csr, err := decodeBase64(body)
	if err != nil {
		return nil, err
	}
	if len(csr) == 0 {
		return nil, pki.Errorf(pki.Malformed, "the body is empty; it is the base64 of a DER PKCS #10 request")
	}
	return csr, nil
}

// decodeBase64 reads base64 (RFC 4648, 4) with its padding, and with line ends and
// blanks where RFC 8951 lets the lines of old encoders stand. It overwrites body.
func decodeBase64(body []byte) ([]byte, error) {
	text := body[:0]
	for _, c := range body {
		switch c {
		case '\r', '\n', ' ', '\t':
		default:
			text = append(text, c)
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "the body is not the base64 of a DER PKCS #10 request; PEM lines do not belong there")
	}
	return out[:n], nil
}
