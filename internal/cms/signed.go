package cms

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A SignedData is a message that was read (RFC 5652, 5.1). Nothing of it is known to
// be genuine until Verify says so, and then only what Verify covers: the certificates
// and CRLs are in no signature of the message.
type SignedData struct {
	ContentType  string   // dotted
	Content      []byte   // nil where the message has none
	Certificates [][]byte // each one element; other forms than X.509's are left out
	CRLs         [][]byte // likewise
	Signers      []SignerInfo
}

// A SignerInfo is one signature (RFC 5652, 5.3).
type SignerInfo struct {
	Attributes Attributes // nil where there are none

	name       name
	digest     string // dotted
	signed     []byte // content of signedAttrs
	algorithm  string // dotted
	parameters cryptobyte.String
	signature  []byte
}

// ParseSigned reads the ContentInfo of a SignedData. Versions and the list of digest
// algorithms are not looked at, since each signer says all that is needed; unsigned
// attributes are read over.
func ParseSigned(message []byte) (*SignedData, error) {
	content, _, err := readContentInfo(message, der.OIDSignedData)
	if err != nil {
		return nil, err
	}
	d := new(SignedData)
	var version uint64
	var encapsulated, certificates, crls, signers cryptobyte.String
	var any bool
	ok := content.ReadASN1Integer(&version) &&
		content.SkipASN1(asn1.SET) && // digestAlgorithms
		content.ReadASN1(&encapsulated, asn1.SEQUENCE) && d.readContent(encapsulated) &&
		content.ReadOptionalASN1(&certificates, &any, der.Explicit(0)) &&
		content.ReadOptionalASN1(&crls, &any, der.Explicit(1)) &&
		content.ReadASN1(&signers, asn1.SET) && content.Empty()
	if !ok {
		return nil, pki.Errorf(pki.Malformed, "the message's fields are not those of a CMS SignedData")
	}
	if d.Certificates, ok = readSequences(certificates, maxCertificates); !ok {
		return nil, pki.Errorf(pki.Malformed, "the message's certificates are not well-formed, or more than %d", maxCertificates)
	}
	if d.CRLs, ok = readSequences(crls, maxCRLs); !ok {
		return nil, pki.Errorf(pki.Malformed, "the message's CRLs are not well-formed, or more than %d", maxCRLs)
	}
	for !signers.Empty() {
		if len(d.Signers) == maxSigners {
			return nil, pki.Errorf(pki.Malformed, "the message has more than %d signers", maxSigners)
		}
		var s SignerInfo
		if !s.read(&signers) {
			return nil, pki.Errorf(pki.Malformed, "the message's signer %d is not well-formed", len(d.Signers)+1)
		}
		d.Signers = append(d.Signers, s)
	}
	return d, nil
}

// readContent reads the content of an EncapsulatedContentInfo (RFC 5652, 5.2).
func (d *SignedData) readContent(s cryptobyte.String) bool {
	var explicit cryptobyte.String
	var there bool
	if !der.ReadOID(&s, &d.ContentType) || !s.ReadOptionalASN1(&explicit, &there, der.Explicit(0)) || !s.Empty() {
		return false
	}
	return !there || explicit.ReadASN1((*cryptobyte.String)(&d.Content), asn1.OCTET_STRING) && explicit.Empty()
}

// readSequences reads the content of a CertificateSet or RevocationInfoChoices
// (RFC 5652, 10.2.1 and 10.2.3): the elements that are sequences, max at most with
// the others.
func readSequences(set cryptobyte.String, max int) (elements [][]byte, ok bool) {
	for n := 0; !set.Empty(); n++ {
		var element cryptobyte.String
		var tag asn1.Tag
		if n == max || !set.ReadAnyASN1Element(&element, &tag) {
			return nil, false
		}
		if tag == asn1.SEQUENCE {
			elements = append(elements, element)
		}
	}
	return elements, true
}

// read reads one SignerInfo.
func (s *SignerInfo) read(signers *cryptobyte.String) bool {
	var info, signed, digestParameters cryptobyte.String
	var version uint64
	var attributed, ok bool
	ok = signers.ReadASN1(&info, asn1.SEQUENCE) && info.ReadASN1Integer(&version)
	if !ok {
		return false
	}
	if s.name, ok = readName(&info, der.Implicit(0)); !ok {
		return false
	}
	ok = readAlgorithm(&info, &s.digest, &digestParameters) && noParameters(digestParameters) &&
		info.ReadOptionalASN1(&signed, &attributed, der.Explicit(0)) &&
		readAlgorithm(&info, &s.algorithm, &s.parameters) &&
		info.ReadASN1((*cryptobyte.String)(&s.signature), asn1.OCTET_STRING) &&
		info.SkipOptionalASN1(der.Explicit(1)) && info.Empty() // unsignedAttrs
	if !ok || !attributed {
		return ok
	}
	s.signed = signed
	s.Attributes, ok = readAttributes(signed)
	return ok && len(s.Attributes) > 0
}
