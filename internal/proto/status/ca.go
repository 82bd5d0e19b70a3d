package status

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"net/http"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/pki"
)

// caAge is how long a CA certificate may be kept: it never changes.
const caAge = 24 * time.Hour

// ca serves an issuer's certificates:
//
//	GET /ca/{issuer}.cer  its own, DER (RFC 5280, 4.2.2.1: what caIssuers names)
//	GET /ca/{issuer}.pem  the chain: its own first, the root last
//	GET /ca/{issuer}.p7c  the same chain as certs-only SignedData (RFC 5652, 5)
func (s *Server) ca(w http.ResponseWriter, r *http.Request, tail string) {
	if !allowed(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	issuer, form, _ := strings.Cut(tail, ".")
	encode := map[string]func([][]byte) (contentType string, body []byte, err error){
		"cer": certificateOf, "pem": pemOf, "p7c": signedDataOf,
	}[form]
	if encode == nil {
		s.fail(w, r, pki.Errorf(pki.NotFound, "CA certificates end in .cer, .pem or .p7c"))
		return
	}
	chain, err := s.cfg.Chains.Chain(r.Context(), pki.IssuerID(issuer))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	contentType, body, err := encode(chain)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	writeCached(w, r, cached{body: body, hash: sha256.Sum256(body), age: caAge})
}

func certificateOf(chain [][]byte) (string, []byte, error) {
	return "application/pkix-cert", chain[0], nil
}

func pemOf(chain [][]byte) (string, []byte, error) {
	var text bytes.Buffer
	for _, der := range chain {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return "", nil, err
		}
	}
	return "application/pem-certificate-chain", text.Bytes(), nil
}

func signedDataOf(chain [][]byte) (string, []byte, error) {
	der, err := cms.CertsOnly(chain)
	return "application/pkcs7-mime; smime-type=certs-only", der, err
}
