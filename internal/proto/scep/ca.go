package scep

import (
	"net/http"
	"strconv"

	"github.com/pando-pki/pando/internal/cms"
)

// capabilities are what GetCACaps always answers (RFC 8894, 3.5.2). SHA-384 is none of the
// RFC's; strongSwan reads its AES bit from it. SHA-1 and DES3, which the legacy switch
// takes and nobody is to choose, are not there.
var capabilities = []string{"AES", "POSTPKIOperation", "Renewal", "SCEPStandard", "SHA-256", "SHA-384", "SHA-512"}

// getCACaps serves GetCACaps (RFC 8894, 3.5.1).
func getCACaps(w http.ResponseWriter, r *http.Request, ra *RA) error {
	write(w, r, "text/plain", []byte(ra.capabilities()))
	return nil
}

// getCACert serves GetCACert (RFC 8894, 4.2): the RA's two certificates and the
// authority's, with those above it. The message parameter is read over, as 4.2 has it.
func getCACert(w http.ResponseWriter, r *http.Request, ra *RA) error {
	message, err := cms.CertsOnly(ra.certificates())
	if err != nil {
		return err
	}
	write(w, r, "application/x-x509-ca-ra-cert", message)
	return nil
}

// write writes a body with its length, or its length alone for HEAD.
func write(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // an error is the client's going away
	}
}
