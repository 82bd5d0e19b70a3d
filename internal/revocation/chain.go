package revocation

import (
	"bytes"
	"encoding/pem"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/pki"
)

// ChainForms returns the forms in which an issuer's certificates are found, at
// "{StatusURL}/ca/{ID}.{form}":
//
//	cer  its own, DER (RFC 5280, 4.2.2.1: what caIssuers names)
//	pem  the chain: its own first, the root last
//	p7c  the same chain as certs-only SignedData (RFC 5652, 5)
func ChainForms() []string { return []string{"cer", "p7c", "pem"} }

// ChainPath returns where an issuer's certificates are found in one of the forms, below
// its status URL.
func ChainPath(issuer pki.IssuerID, form string) string { return "ca/" + string(issuer) + "." + form }

// EncodeChain encodes DER certificates, an issuer's own first, in one of the
// forms, and says what the content type is. NotFound for any other form.
func EncodeChain(form string, chain [][]byte) (contentType string, body []byte, err error) {
	switch form {
	case "cer":
		return "application/pkix-cert", chain[0], nil
	case "p7c":
		body, err := cms.CertsOnly(chain)
		return "application/pkcs7-mime; smime-type=certs-only", body, err
	case "pem":
		var text bytes.Buffer
		for _, der := range chain {
			if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
				return "", nil, err
			}
		}
		return "application/pem-certificate-chain", text.Bytes(), nil
	}
	return "", nil, pki.Errorf(pki.NotFound, "CA certificates end in .cer, .pem or .p7c")
}
