package scep

import (
	"crypto"
	"crypto/rand"
	"strings"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
)

// The values of pkiStatus (RFC 8894, 3.2.1.3).
const (
	statusSuccess = "0"
	statusFailure = "2"
	statusPending = "3"
)

// A reply is what a CertRep says (RFC 8894, 3.3.2).
type reply struct {
	status   string
	failInfo failInfo // with a failure
	text     string   // with a failure: failInfoText
}

// maxFailText is the longest failInfoText, in characters.
const maxFailText = 250

// A Signer signs answers.
type Signer struct {
	Key         crypto.Signer
	Certificate []byte // DER, of Key; every answer carries it
}

// sign returns the CertRep that answers a message: a reply whose envelope, with a
// success, is the encrypted content.
func (s *Signer) sign(to *message, r *reply, envelope []byte) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	attributes := []cms.Attribute{
		printable(oidMessageType, "3"), // CertRep
		printable(oidPKIStatus, r.status),
		{OID: oidTransactionID, Value: to.idDER},
		octets(oidSenderNonce, nonce),
	}
	if to.nonce != nil {
		attributes = append(attributes, octets(oidRecipientNonce, to.nonce))
	}
	if r.status == statusFailure {
		attributes = append(attributes, printable(oidFailInfo, r.failInfo.value()))
		if text := shorten(r.text); text != "" {
			attributes = append(attributes, cms.Attribute{OID: oidFailInfoText, Value: der.Append(nil, asn1.UTF8String, []byte(text))})
		}
	}
	return cms.Sign(cms.Message{Content: envelope, Certificates: [][]byte{s.Certificate}},
		cms.Signer{Key: s.Key, Certificate: s.Certificate, Attributes: attributes})
}

// shorten keeps a text to what clients have room for, in UTF-8.
func shorten(text string) string {
	runes := []rune(strings.ToValidUTF8(text, "?"))
	if len(runes) > maxFailText {
		return string(runes[:maxFailText-1]) + "…"
	}
	return string(runes)
}
