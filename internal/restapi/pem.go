package restapi

import (
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// The media types of plain routes.
const (
	mediaJSON     = "application/json"
	mediaPEMChain = "application/pem-certificate-chain" // RFC 8555, 9.1
	mediaDER      = "application/pkix-cert"             // RFC 2585, 4.1
	mediaPEMFile  = "application/x-pem-file"
	mediaNDJSON   = "application/x-ndjson"
	mediaCSV      = "text/csv"         // RFC 4180, 3
	mediaGzip     = "application/gzip" // RFC 6713, 4
	mediaZip      = "application/zip"
	mediaEvents   = "text/event-stream"
)

// maxCSR is the largest request that is looked at, in bytes of DER.
const maxCSR = 64 << 10

// readCSR returns the DER of a request in PEM (RFC 7468, 7) or in base64.
func readCSR(text string) ([]byte, error) {
	if strings.TrimSpace(text) == "" {
		return nil, pki.Errorf(pki.Malformed, "csr: it is empty")
	}
	var der []byte
	if strings.Contains(text, "-----BEGIN ") {
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" || strings.TrimSpace(string(rest)) != "" {
			return nil, pki.Errorf(pki.Malformed, "csr: write one PEM block of type CERTIFICATE REQUEST, or DER in base64")
		}
		der = block.Bytes
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, pki.Errorf(pki.Malformed, "csr: it is neither PEM nor base64")
		}
	}
	if len(der) == 0 || len(der) > maxCSR {
		return nil, pki.Errorf(pki.Malformed, "csr: it has %d bytes; from 1 to %d are looked at", len(der), maxCSR)
	}
	return der, nil
}

// readCertificate returns the DER of one certificate in PEM (RFC 7468, 5).
func readCertificate(text string) ([]byte, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil, pki.Errorf(pki.Malformed, "certificate: write one PEM block of type CERTIFICATE")
	}
	return block.Bytes, nil
}

// certificatePEM returns a certificate in PEM, as pem.Encode writes it, which takes
// several times as long; "" for none.
func certificatePEM(der []byte) string {
	if len(der) == 0 {
		return ""
	}
	return string(appendCertificatePEM(nil, der))
}

// appendCertificatePEM appends a certificate in PEM.
func appendCertificatePEM(dst, der []byte) []byte {
	const begin, end, line = "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n", 48 // bytes, which are 64 characters
	dst = slices.Grow(dst, len(begin)+len(end)+base64.StdEncoding.EncodedLen(len(der))+len(der)/line+1)
	dst = append(dst, begin...)
	for part := range slices.Chunk(der, line) {
		dst = append(base64.StdEncoding.AppendEncode(dst, part), '\n')
	}
	return append(dst, end...)
}

// writePEM answers with certificates in PEM.
func writePEM(w http.ResponseWriter, certificates [][]byte) error {
	w.Header().Set("Content-Type", mediaPEMChain)
	for _, der := range certificates {
		if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return nil // the connection
		}
	}
	return nil
}
