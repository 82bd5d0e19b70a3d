package status

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// maxRequest bounds a DER OCSPRequest. Thirty-two CertIDs take 4 KiB.
const maxRequest = 64 << 10

// ocsp serves RFC 6960, A.1. Errors of OCSP are HTTP 200 with an OCSPResponse.
// The Content-Type of a request is not looked at: its bytes are one or are not.
func (s *Server) ocsp(w http.ResponseWriter, r *http.Request, tail string) {
	if !allowed(w, r, http.MethodGet, http.MethodHead, http.MethodPost) {
		return
	}
	issuer, encoded, _ := strings.Cut(tail, "/")
	request, err := readRequest(w, r, encoded)
	if err != nil {
		s.failOCSP(w, r, err)
		return
	}
	got, err := s.cfg.Validator.Respond(r.Context(), pki.IssuerID(issuer), request)
	if err != nil {
		s.failOCSP(w, r, err)
		return
	}
	w.Header().Set("Content-Type", ocspResponse)
	if !got.Cacheable {
		// Not no-store, which RFC 9919, 7.2 keeps for unsigned answers.
		w.Header().Set("Cache-Control", "max-age=0, must-revalidate")
		write(w, r, got.DER)
		return
	}
	writeCached(w, r, cached{
		body: got.DER, hash: got.Hash, modified: got.ThisUpdate, expires: got.NextUpdate,
		age: got.Renew.Sub(s.cfg.Now()),
	})
}

func readRequest(w http.ResponseWriter, r *http.Request, encoded string) ([]byte, error) {
	if r.Method != http.MethodPost {
		return decodePath(encoded)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "the request did not come whole, or is longer than %d bytes", maxRequest)
	}
	return body, nil
}

// decodePath reads an OCSPRequest from the last part of a GET path: base64,
// percent-encoded or not. Slashes before it, from a base URL that ends with one,
// cannot be its own: DER starts with "M" in base64.
func decodePath(encoded string) ([]byte, error) {
	if len(encoded) > 4*maxRequest { // three for a percent-encoded octet, by four thirds for base64
		return nil, pki.Errorf(pki.Malformed, "the request is longer than %d bytes", maxRequest)
	}
	text, err := url.PathUnescape(strings.TrimLeft(encoded, "/"))
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "the path is not percent-encoded")
	}
	request, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "the path does not end in base64")
	}
	return request, nil
}
