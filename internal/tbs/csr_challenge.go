package tbs

import (
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// MaxChallenge is the longest challengePassword, in octets (RFC 2985, 5.4.1 and
// pkcs-9-ub-challengePassword).
const MaxChallenge = 255

// Challenge returns the request's challengePassword (RFC 2985, 5.4.1); an empty one is
// none, as some clients always send the attribute. It is text of ASCII in any of the
// strings that clients write it in, or UTF-8; anything else, and more than one, is
// Malformed.
func (c *CSR) Challenge() (pki.Secret, error) {
	value, err := c.Attribute(der.OIDChallengePassword)
	if value == nil && err == nil {
		return pki.Secret{}, nil
	}
	element := cryptobyte.String(value)
	var text cryptobyte.String
	var tag asn1.Tag
	if err != nil || !element.ReadAnyASN1(&text, &tag) || !isChallenge(tag, text) {
		return pki.Secret{}, pki.Errorf(pki.Malformed, "the request's challengePassword is not one text of at most %d octets", MaxChallenge)
	}
	return pki.NewSecret(string(text)), nil
}

// isChallenge reports whether text is one that is read: a DirectoryString but for those
// of two or four octets a character, or IA5String as OpenSSL's configuration can make it.
func isChallenge(tag asn1.Tag, text []byte) bool {
	if len(text) > MaxChallenge {
		return false
	}
	switch tag {
	case asn1.UTF8String:
		return utf8.Valid(text)
	case asn1.PrintableString, asn1.IA5String, asn1.T61String:
		for _, b := range text {
			if b >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	return false
}
