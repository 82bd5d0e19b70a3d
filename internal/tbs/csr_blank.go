package tbs

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

var challengeOID = der.MustOID(der.OIDChallengePassword)

// BlankChallenge returns a request (DER) as it may be kept and shown: with an asterisk
// for each octet of each challengePassword (RFC 2985, 5.4.1), which may be good for more
// enrolments, and for each of the signature, by which whoever guesses at the challenge would
// know that a guess is right; all else is as it is, to the octet. A request without one, and
// what ParseCSR would not read, is returned itself.
func BlankChallenge(request []byte) []byte {
	if !bytes.Contains(request, challengeOID) {
		return request
	}
	whole, ok := der.ReadOnly(request, asn1.SEQUENCE)
	var info, attributes cryptobyte.String
	if !ok || !whole.ReadASN1(&info, asn1.SEQUENCE) || !info.SkipASN1(asn1.INTEGER) || !info.SkipASN1(asn1.SEQUENCE) ||
		!info.SkipASN1(asn1.SEQUENCE) || !info.ReadASN1(&attributes, der.Explicit(0)) {
		return request
	}
	end := len(request) - len(whole) - len(info) // of the attributes
	var blanked []byte
	for !attributes.Empty() {
		var attribute, oid, values cryptobyte.String
		if !attributes.ReadASN1(&attribute, asn1.SEQUENCE) {
			break
		}
		if !attribute.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER) || !bytes.Equal(oid, challengeOID) || !attribute.ReadASN1(&values, asn1.SET) {
			continue
		}
		if blanked == nil {
			blanked = bytes.Clone(request)
		}
		to := end - len(attributes) - len(attribute)
		blankValues(blanked[to-len(values) : to])
	}
	var signature cryptobyte.String
	if blanked == nil || !whole.SkipASN1(asn1.SEQUENCE) || !whole.ReadASN1(&signature, asn1.BIT_STRING) || signature.Empty() || !whole.Empty() {
		return request
	}
	stars(blanked[len(request)-len(signature)+1:]) // after the octet that counts unused bits
	return blanked
}

func stars(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}

// blankValues overwrites the contents of elements, and what is none.
func blankValues(b []byte) {
	rest := cryptobyte.String(b)
	for !rest.Empty() {
		content := rest
		var tag asn1.Tag
		if !rest.ReadAnyASN1(&content, &tag) {
			rest = nil
		}
		stars(content)
	}
}
