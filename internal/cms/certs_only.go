// Package cms encodes Cryptographic Message Syntax (RFC 5652).
//
// So far it has the one form that distributes certificates: a degenerate
// SignedData that nobody signs.
package cms

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// CertsOnly returns the DER ContentInfo of a certs-only SignedData (RFC 5652, 5.1;
// RFC 5272, 4.1), as served in .p7c files and by EST: no content, no signers, and
// the given DER certificates, of which there is at least one. The certificates are
// a SET OF, which DER sorts by encoding (X.690, 11.6): their order is lost.
func CertsOnly(certificates [][]byte) ([]byte, error) {
	if len(certificates) == 0 {
		return nil, errors.New("certs-only message: no certificate")
	}
	for i, c := range certificates {
		if _, ok := der.ReadOnly(c, asn1.SEQUENCE); !ok {
			return nil, fmt.Errorf("certs-only message: certificate %d is not one DER sequence", i+1)
		}
	}
	sorted := slices.SortedFunc(slices.Values(certificates), bytes.Compare)

	dst := der.MustOID(der.OIDSignedData)
	content := len(dst)
	dst = der.AppendInteger(dst, 1)          // version, RFC 5652, 5.1
	dst = der.AppendHeader(dst, asn1.SET, 0) // digestAlgorithms
	info := len(dst)
	dst = append(dst, der.MustOID(der.OIDData)...)
	dst = der.Wrap(dst, info, asn1.SEQUENCE) // encapContentInfo without content
	set := len(dst)
	for _, c := range sorted {
		dst = append(dst, c...)
	}
	dst = der.Wrap(dst, set, der.Explicit(0)) // certificates, implicitly tagged
	dst = der.AppendHeader(dst, asn1.SET, 0)  // signerInfos
	dst = der.Wrap(dst, content, asn1.SEQUENCE)
	dst = der.Wrap(dst, content, der.Explicit(0))
	return der.Wrap(dst, 0, asn1.SEQUENCE), nil
}
