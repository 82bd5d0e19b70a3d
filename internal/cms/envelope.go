package cms

import (
	"crypto/rsa"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// An Envelope is what Encrypt encrypts (RFC 5652, 6.1; RFC 5083, 2.1).
type Envelope struct {
	ContentType string // dotted; "" is id-data
	Content     []byte
	Cipher      Cipher
}

// A Recipient is one who can open an envelope: the owner of a certificate's key, or who
// knows a password.
type Recipient struct {
	// Certificate is DER. Its key says how the content's key is encrypted: RSA by key
	// transport (RFC 3370, 4.2.1), keys on P-256, P-384, P-521 and X25519 by key
	// agreement with AES key wrap (RFC 5753, RFC 8418).
	Certificate []byte
	KeyID       bool // names the certificate by its subjectKeyIdentifier, not by issuer and serial
	OAEP        bool // RSA by RSAES-OAEP with SHA-256 (RFC 3560), not by PKCS #1 v1.5

	// Password takes the place of a certificate (RFC 5652, 6.2.4; RFC 3211). Each costs
	// a tenth of a second, here and where it is opened. Derived is a key that was derived
	// from one before.
	Password pki.Secret
	Derived  *PasswordKey
}

// Encrypt returns the DER ContentInfo of an EnvelopedData, or with GCM of an
// AuthEnvelopedData, that each of the recipients, one at least, can open. A recipient
// whose key cannot be encrypted to is a BadKey error.
func Encrypt(e Envelope, recipients ...Recipient) ([]byte, error) {
	if e.Cipher < AES128CBC || e.Cipher > AES256GCM {
		return nil, errors.New("an envelope without a cipher")
	}
	if len(recipients) == 0 {
		return nil, errors.New("an envelope without a recipient")
	}
	if e.ContentType == "" {
		e.ContentType = der.OIDData
	}
	contentType, err := der.AppendOID(nil, e.ContentType)
	if err != nil {
		return nil, err
	}
	key := newSecret(ciphers[e.Cipher].keySize)
	defer clear(key)
	infos := make([][]byte, len(recipients))
	for i := range recipients {
		if infos[i], err = recipients[i].info(key); err != nil {
			return nil, fmt.Errorf("recipient %d: %w", i+1, err)
		}
	}
	gcm := ciphers[e.Cipher].gcm
	var attributes []byte
	if gcm && e.ContentType != der.OIDData { // RFC 5083, 2.1
		if attributes, err = attributeSet([]Attribute{{der.OIDContentType, contentType}}); err != nil {
			return nil, err
		}
	}
	algorithm, sealed, tag, err := e.Cipher.seal(key, e.Content, authenticated(attributes))
	if err != nil {
		return nil, err
	}
	version := uint64(0) // RFC 5083, 2.1
	if !gcm {
		version = envelopeVersion(recipients, infos)
	}
	front := der.AppendInteger(nil, version)
	front = der.Append(front, asn1.SET, joinSorted(infos))
	front = der.AppendHeader(front, asn1.SEQUENCE, len(contentType)+len(algorithm)+der.Size(len(sealed)))
	front = append(append(front, contentType...), algorithm...)
	front = der.AppendHeader(front, der.Implicit(0), len(sealed))
	if !gcm {
		return newContentInfo(der.OIDEnvelopedData, front, sealed), nil
	}
	var tail []byte
	if attributes != nil {
		tail = der.Append(tail, der.Explicit(1), attributes)
	}
	tail = der.Append(tail, asn1.OCTET_STRING, tag)
	return newContentInfo(der.OIDAuthEnvelopedData, front, sealed, tail), nil
}

// authenticated returns what is authenticated beside the content: the attributes as a
// SET OF, not with the implicit tag that they have in the message (RFC 5083, 2.2).
func authenticated(attributes []byte) []byte {
	if attributes == nil {
		return nil
	}
	return der.Append(nil, asn1.SET, attributes)
}

// envelopeVersion returns the version of RFC 5652, 6.1, that the RecipientInfos infos
// make.
func envelopeVersion(recipients []Recipient, infos [][]byte) uint64 {
	version := uint64(0)
	for i, info := range infos {
		switch asn1.Tag(info[0]) {
		case der.Explicit(3):
			return 3
		case der.Explicit(1):
			version = 2
		}
		if recipients[i].KeyID {
			version = 2
		}
	}
	return version
}

// info returns the RecipientInfo (RFC 5652, 6.2) of key.
func (r *Recipient) info(key secret) ([]byte, error) {
	if !r.Password.IsZero() || r.Derived != nil {
		if r.Certificate != nil || !r.Password.IsZero() && r.Derived != nil {
			return nil, errors.New("it has a certificate and a password, or two")
		}
		return r.password(key)
	}
	p, ok := readParty(r.Certificate)
	if !ok {
		return nil, pki.Errorf(pki.Malformed, "the recipient's certificate is not well-formed")
	}
	if pub := agreementKey(p.spki); pub != nil {
		return r.agree(&p, pub, key)
	}
	pub, err := tbs.ParsePublicKey(p.spki)
	if err != nil {
		return nil, err
	}
	if rsaKey, ok := pub.Crypto().(*rsa.PublicKey); ok {
		return r.transport(&p, rsaKey, key)
	}
	return nil, pki.Errorf(pki.BadKey, "the recipient's key, of kind %s, signs and cannot be encrypted to; those that can are RSA, P-256, P-384, P-521 and X25519", pub.Kind())
}
