// Package cms reads and writes the Cryptographic Message Syntax (RFC 5652) as
// enrolment protocols use it: SignedData, also the degenerate one that only
// carries certificates or a CRL, EnvelopedData and AuthEnvelopedData (RFC 5083).
//
// What it writes is DER. What it reads may be BER, with indefinite lengths and
// strings in pieces, as streaming encoders make it; each reader bounds size, depth
// and counts, and shares memory with its input. Private keys are used through
// crypto.Signer, crypto.Decrypter and KeyAgreer, so that they may be in an HSM.
//
// It says which key signed a message, and not who that is: certificates are
// matched and their keys used, but no path is built, and no validity, key usage or
// revocation looked at. That is for the caller.
//
// Errors that a message can cause have a kind: Malformed for its structure, BadKey
// for algorithms that are not taken, BadProof for a signature that does not verify
// and for content that cannot be opened, whatever the reason.
package cms

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// What is read at most of any message. Callers bound its size more tightly.
const (
	maxSize         = 16 << 20
	maxDepth        = 32
	maxCertificates = 64
	maxCRLs         = 16
	maxSigners      = 16
	maxAttributes   = 64
	maxRecipients   = 64
	maxIterations   = 1_000_000 // of PBKDF2, over all that a message has tried
)

// readContentInfo returns the content of a ContentInfo (RFC 5652, 3) in DER or BER,
// as DER so far as this package reads it, and its type, which is one of wanted.
func readContentInfo(message []byte, wanted ...string) (content cryptobyte.String, contentType string, err error) {
	if len(message) > maxSize {
		return nil, "", pki.Errorf(pki.Malformed, "the message has more than %d octets", maxSize)
	}
	message, ok := toDER(message)
	if !ok {
		return nil, "", pki.Errorf(pki.Malformed, "the message is not one well-formed element of BER, nested %d deep at most", maxDepth)
	}
	info, ok := der.ReadOnly(message, asn1.SEQUENCE)
	var explicit cryptobyte.String
	if !ok || !der.ReadOID(&info, &contentType) || !info.ReadASN1(&explicit, der.Explicit(0)) || !info.Empty() ||
		!explicit.ReadASN1(&content, asn1.SEQUENCE) || !explicit.Empty() {
		return nil, "", pki.Errorf(pki.Malformed, "the message is not a CMS ContentInfo")
	}
	for _, w := range wanted {
		if contentType == w {
			return content, contentType, nil
		}
	}
	return nil, "", pki.Errorf(pki.Malformed, "the message is of the CMS content type %.80s, which is not expected here", contentType)
}

// newContentInfo returns the ContentInfo (RFC 5652, 3) of a sequence whose content is
// that of parts.
func newContentInfo(oid string, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	id := der.MustOID(oid)
	sequence := der.Size(size)
	explicit := der.Size(sequence)
	dst := make([]byte, 0, der.Size(len(id)+explicit))
	dst = der.AppendHeader(dst, asn1.SEQUENCE, len(id)+explicit)
	dst = append(dst, id...)
	dst = der.AppendHeader(dst, der.Explicit(0), sequence)
	dst = der.AppendHeader(dst, asn1.SEQUENCE, size)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// readAlgorithm reads an AlgorithmIdentifier: its identifier, and its parameters as
// one element, nil where they are absent.
func readAlgorithm(s *cryptobyte.String, oid *string, parameters *cryptobyte.String) bool {
	var content cryptobyte.String
	var tag asn1.Tag
	*parameters = nil
	return s.ReadASN1(&content, asn1.SEQUENCE) && der.ReadOID(&content, oid) &&
		(content.Empty() || content.ReadAnyASN1Element(parameters, &tag)) && content.Empty()
}

// asn1Null is the DER of NULL.
const asn1Null = "\x05\x00"

// noParameters reports whether an algorithm's parameters are absent or NULL.
func noParameters(parameters []byte) bool {
	return len(parameters) == 0 || string(parameters) == asn1Null
}
