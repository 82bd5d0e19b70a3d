package cms

import (
	"bytes"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// A party is what CMS takes of a certificate: how messages name it, and its key.
// Devices sign their first request with certificates that they made themselves, of
// every form that there is; what more a certificate says is for who relies on it.
type party struct {
	issuer []byte // DER Name
	serial []byte // DER INTEGER
	keyID  []byte // of the subjectKeyIdentifier extension; nil where it is absent
	spki   []byte // DER SubjectPublicKeyInfo
}

// SubjectPublicKey returns the DER SubjectPublicKeyInfo of a DER certificate, of whatever
// form the rest of it is; nil where it is none.
func SubjectPublicKey(certificate []byte) []byte {
	p, ok := readParty(certificate)
	if !ok {
		return nil
	}
	return p.spki
}

// readParty reads a DER Certificate (RFC 5280, 4.1).
func readParty(certificate []byte) (p party, ok bool) {
	outer, ok := der.ReadOnly(certificate, asn1.SEQUENCE)
	var tbs, extensions cryptobyte.String
	var extended bool
	ok = ok && outer.ReadASN1(&tbs, asn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(der.Explicit(0)) && // version
		tbs.ReadASN1Element((*cryptobyte.String)(&p.serial), asn1.INTEGER) &&
		tbs.SkipASN1(asn1.SEQUENCE) && // signature
		tbs.ReadASN1Element((*cryptobyte.String)(&p.issuer), asn1.SEQUENCE) &&
		tbs.SkipASN1(asn1.SEQUENCE) && tbs.SkipASN1(asn1.SEQUENCE) && // validity, subject
		tbs.ReadASN1Element((*cryptobyte.String)(&p.spki), asn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(der.Implicit(1)) && tbs.SkipOptionalASN1(der.Implicit(2)) &&
		tbs.ReadOptionalASN1(&extensions, &extended, der.Explicit(3)) && tbs.Empty()
	if !ok || !extended {
		return p, ok
	}
	p.keyID, ok = readKeyID(extensions)
	return p, ok
}

// readKeyID returns the value of the subjectKeyIdentifier among extensions (RFC
// 5280, 4.2.1.2), or nil.
func readKeyID(extensions cryptobyte.String) (keyID []byte, ok bool) {
	var list cryptobyte.String
	if !extensions.ReadASN1(&list, asn1.SEQUENCE) || !extensions.Empty() {
		return nil, false
	}
	for !list.Empty() {
		var extension, value cryptobyte.String
		var oid string
		if !list.ReadASN1(&extension, asn1.SEQUENCE) || !der.ReadOID(&extension, &oid) ||
			!extension.SkipOptionalASN1(asn1.BOOLEAN) || !extension.ReadASN1(&value, asn1.OCTET_STRING) {
			return nil, false
		}
		if oid == der.OIDSubjectKeyIdentifier {
			id, ok := der.ReadOnly(value, asn1.OCTET_STRING)
			return id, ok && len(id) > 0
		}
	}
	return nil, true
}

// appendIssuerAndSerial appends the party's IssuerAndSerialNumber (RFC 5652, 10.2.4).
func (p *party) appendIssuerAndSerial(dst []byte) []byte {
	dst = der.AppendHeader(dst, asn1.SEQUENCE, len(p.issuer)+len(p.serial))
	return append(append(dst, p.issuer...), p.serial...)
}

// appendName appends the party's SignerIdentifier or RecipientIdentifier (RFC 5652, 5.3
// and 6.2.1): its key identifier under the tag [0], or issuer and serial.
func (p *party) appendName(dst []byte, keyID bool) ([]byte, error) {
	if !keyID {
		return p.appendIssuerAndSerial(dst), nil
	}
	if p.keyID == nil {
		return nil, errors.New("the certificate has no subjectKeyIdentifier to be named by")
	}
	return der.Append(dst, der.Implicit(0), p.keyID), nil
}

// A name is how a message names the certificate of a signer or a recipient: by
// issuer and serial, or by key identifier where that is not nil.
type name struct {
	issuer, serial []byte // DER
	keyID          []byte
}

// readName reads a SignerIdentifier or RecipientIdentifier (RFC 5652, 5.3 and
// 6.2.1), whose [0] has the given tag.
func readName(s *cryptobyte.String, keyIDTag asn1.Tag) (n name, ok bool) {
	if s.PeekASN1Tag(keyIDTag) {
		ok = s.ReadASN1((*cryptobyte.String)(&n.keyID), keyIDTag) && len(n.keyID) > 0
		return n, ok
	}
	var pair cryptobyte.String
	ok = s.ReadASN1(&pair, asn1.SEQUENCE) &&
		pair.ReadASN1Element((*cryptobyte.String)(&n.issuer), asn1.SEQUENCE) &&
		pair.ReadASN1Element((*cryptobyte.String)(&n.serial), asn1.INTEGER) && pair.Empty()
	return n, ok
}

// is reports whether n names p.
func (n *name) is(p *party) bool {
	if n.keyID != nil {
		return bytes.Equal(n.keyID, p.keyID)
	}
	return bytes.Equal(n.issuer, p.issuer) && bytes.Equal(n.serial, p.serial)
}
