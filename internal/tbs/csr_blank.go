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
// enrolments, and all else as it is, to the octet. Its signature does not verify then. A
// request without one, and what ParseCSR would not read, is returned itself.
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
	if blanked == nil {
		return request
	}
	return blanked
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
		for i := range content {
			content[i] = '*'
		}
	}
}
