package scep

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// maxContent bounds what an envelope that is not a request carries: two names, or one
// with a serial.
const maxContent = 16 << 10

// readIssuerAndSubject reads what a CertPoll carries (RFC 8894, 3.3.3): the DER names of
// the authority and of the subject that was asked for.
func readIssuerAndSubject(content []byte) (issuer, subject []byte, ok bool) {
	pair, ok := der.ReadOnly(content, asn1.SEQUENCE)
	ok = ok && len(content) <= maxContent &&
		pair.ReadASN1Element((*cryptobyte.String)(&issuer), asn1.SEQUENCE) &&
		pair.ReadASN1Element((*cryptobyte.String)(&subject), asn1.SEQUENCE) && pair.Empty()
	return issuer, subject, ok
}

// readIssuerAndSerial reads what a GetCert and a GetCRL carry (RFC 8894, 3.3.4; RFC
// 5652, 10.2.4): the DER name of an issuer and the serial of one of its certificates.
func readIssuerAndSerial(content []byte) (issuer []byte, serial pki.Serial, ok bool) {
	pair, ok := der.ReadOnly(content, asn1.SEQUENCE)
	var number []byte
	ok = ok && len(content) <= maxContent &&
		pair.ReadASN1Element((*cryptobyte.String)(&issuer), asn1.SEQUENCE) &&
		pair.ReadASN1Integer(&number) && pair.Empty() && len(number) <= len(serial)
	if ok {
		copy(serial[len(serial)-len(number):], number)
	}
	return issuer, serial, ok
}
