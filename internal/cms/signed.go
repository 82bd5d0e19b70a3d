package cms

import (
	"bytes"
	"crypto"

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

// Options are how a signature is verified.
type Options struct {
	// Certificate is the DER certificate of the signer, which the message must name.
	// Nil: it is the one among those of the message that the message names.
	Certificate []byte
	// Legacy takes SHA-1, as clients from before 2015 use it.
	Legacy bool
}

// Verify verifies the signature of Signers[i] over the content, or over no octets
// where there is none, and over the signer's attributes (RFC 5652, 5.4 and 5.6). It
// returns the certificate whose key verified it.
func (d *SignedData) Verify(i int, o Options) (certificate []byte, err error) {
	s := &d.Signers[i]
	certificate, p, err := d.signer(&s.name, o.Certificate)
	if err != nil {
		return nil, err
	}
	hash, err := hashFor(s.digest, o.Legacy)
	if err != nil {
		return nil, err
	}
	signed := d.Content
	if s.signed != nil {
		if err := d.checkAttributes(s.Attributes, hash); err != nil {
			return nil, err
		}
		signed = der.Append(nil, asn1.SET, s.signed)
	} else if _, set := der.ReadOnly(signed, asn1.SET); set || d.ContentType != der.OIDData {
		// RFC 5652, 5.3: attributes must be there but with id-data. Without them content
		// that is a set could be the attributes of another message, whose signature
		// would verify here.
		return nil, pki.Errorf(pki.Malformed, "the message's signer has no signed attributes, which this content needs")
	}
	if err := s.verify(p.spki, hash, signed); err != nil {
		return nil, err
	}
	return certificate, nil
}

// signer returns the certificate of the given name: given, which may be nil, or one
// of the message.
func (d *SignedData) signer(n *name, given []byte) (certificate []byte, p party, err error) {
	if given != nil {
		p, ok := readParty(given)
		if !ok || !n.is(&p) {
			return nil, p, pki.Errorf(pki.BadProof, "the message's signer is not the one whose certificate it must be")
		}
		return given, p, nil
	}
	for _, c := range d.Certificates {
		q, ok := readParty(c)
		if !ok || !n.is(&q) || bytes.Equal(c, certificate) {
			continue
		}
		if certificate != nil {
			return nil, p, pki.Errorf(pki.BadProof, "the message has several certificates that its signer could be")
		}
		certificate, p = c, q
	}
	if certificate == nil {
		return nil, p, pki.Errorf(pki.BadProof, "the message does not carry its signer's certificate")
	}
	return certificate, p, nil
}

// checkAttributes checks that the attributes say the content's type and digest.
func (d *SignedData) checkAttributes(a Attributes, hash crypto.Hash) error {
	contentType := cryptobyte.String(a.Get(der.OIDContentType))
	var oid string
	if !der.ReadOID(&contentType, &oid) || oid != d.ContentType {
		return pki.Errorf(pki.BadProof, "the signed attributes do not say the content's type once (RFC 5652, 11.1)")
	}
	h := hash.New()
	h.Write(d.Content)
	digest, ok := der.ReadOnly(a.Get(der.OIDMessageDigest), asn1.OCTET_STRING)
	if !ok || !bytes.Equal(digest, h.Sum(nil)) {
		return pki.Errorf(pki.BadProof, "the content is not the one whose digest is in the signed attributes")
	}
	return nil
}
