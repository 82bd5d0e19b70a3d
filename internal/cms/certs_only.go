package cms

import "errors"

// CertsOnly returns the DER ContentInfo of a certs-only SignedData (RFC 5652, 5.1;
// RFC 5272, 4.1), as served in .p7c files and by EST: no content, no signers, and
// the given DER certificates, of which there is at least one. The certificates are
// a SET OF, which DER sorts by encoding (X.690, 11.6): their order is lost.
func CertsOnly(certificates [][]byte) ([]byte, error) {
	if len(certificates) == 0 {
		return nil, errors.New("certs-only message: no certificate")
	}
	return Sign(Message{Certificates: certificates})
}

// CRLOnly returns the DER ContentInfo of a degenerate SignedData that carries one
// DER CRL, as SCEP's GetCRL is answered with (RFC 8894, 3.4).
func CRLOnly(crl []byte) ([]byte, error) {
	return Sign(Message{CRLs: [][]byte{crl}})
}
