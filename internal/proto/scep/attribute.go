package scep

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
)

// The attributes of a message (RFC 8894, 3.2.1 and 3.2.1.4).
const (
	oidMessageType    = "2.16.840.1.113733.1.9.2"
	oidPKIStatus      = "2.16.840.1.113733.1.9.3"
	oidFailInfo       = "2.16.840.1.113733.1.9.4"
	oidSenderNonce    = "2.16.840.1.113733.1.9.5"
	oidRecipientNonce = "2.16.840.1.113733.1.9.6"
	oidTransactionID  = "2.16.840.1.113733.1.9.7"
	oidFailInfoText   = "1.3.6.1.5.5.7.24.1"
)

// nonceSize is the size of a nonce (RFC 8894, 3.2.1.5), and maxNonce the largest one
// that is taken of old clients.
const (
	nonceSize = 16
	maxNonce  = 64
)

// maxTransactionID is the longest transaction identifier. Most are a hash in hex or
// base64.
const maxTransactionID = 255

// readText reads the value of an attribute that is a PrintableString. Clients whose
// encoder chooses by content send UTF8String for characters that PrintableString lacks.
func readText(value []byte) (text string, ok bool) {
	s := cryptobyte.String(value)
	var content cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&content, &tag) || !s.Empty() || tag != asn1.PrintableString && tag != asn1.UTF8String {
		return "", false
	}
	for _, b := range content {
		if b < ' ' || b > '~' {
			return "", false
		}
	}
	return string(content), len(content) > 0
}

// printable returns an attribute whose value is a PrintableString.
func printable(oid, text string) cms.Attribute {
	return cms.Attribute{OID: oid, Value: der.Append(nil, asn1.PrintableString, []byte(text))}
}

// octets returns an attribute whose value is an OCTET STRING.
func octets(oid string, content []byte) cms.Attribute {
	return cms.Attribute{OID: oid, Value: der.Append(nil, asn1.OCTET_STRING, content)}
}
