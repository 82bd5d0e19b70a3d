package cms

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A KeyAgreer is a private key of ECDH. *ecdh.PrivateKey is one, and so can be a key
// in an HSM.
type KeyAgreer interface {
	ECDH(remote *ecdh.PublicKey) ([]byte, error)
}

// agreements are the key agreement schemes: ephemeral-static ECDH with the KDF of ANSI
// X9.63 and a hash (RFC 5753, 7.1.4).
var agreements = [...]struct {
	oid  string
	hash crypto.Hash
}{
	{der.OIDECDHSHA256, crypto.SHA256},
	{der.OIDECDHSHA384, crypto.SHA384},
	{der.OIDECDHSHA512, crypto.SHA512},
	{der.OIDECDHSHA1, crypto.SHA1}, // read only
}

// The content octets of the AlgorithmIdentifier of keys on X25519 (RFC 8410, 3).
var keyAlgorithmX25519 = string(der.MustOID(der.OIDX25519))

// agreementKey returns the ECDH key of a SubjectPublicKeyInfo on P-256, P-384, P-521 or
// X25519; nil where it is of another kind.
func agreementKey(spki []byte) *ecdh.PublicKey {
	info, _ := der.ReadOnly(spki, asn1.SEQUENCE)
	var algorithm cryptobyte.String
	var bits []byte
	if info.ReadASN1(&algorithm, asn1.SEQUENCE) && string(algorithm) == keyAlgorithmX25519 {
		if !info.ReadASN1BitStringAsBytes(&bits) || !info.Empty() {
			return nil
		}
		key, err := ecdh.X25519().NewPublicKey(bits)
		if err != nil {
			return nil
		}
		return key
	}
	parsed, err := tbs.ParsePublicKey(spki)
	if err != nil {
		return nil
	}
	pub, ok := parsed.Crypto().(*ecdsa.PublicKey)
	if !ok {
		return nil
	}
	key, err := pub.ECDH()
	if err != nil {
		return nil
	}
	return key
}

// schemeOf returns the scheme that is written for a curve: its hash has the curve's
// strength (RFC 5753, 8).
func schemeOf(curve ecdh.Curve) (oid string, hash crypto.Hash) {
	i := 0
	switch curve {
	case ecdh.P384():
		i = 1
	case ecdh.P521():
		i = 2
	}
	return agreements[i].oid, agreements[i].hash
}

// agree returns the KeyAgreeRecipientInfo (RFC 5652, 6.2.2) of key for pub, with an
// ephemeral key of its own (RFC 5753, 3.1; RFC 8418, 3.1).
func (r *Recipient) agree(p *party, pub *ecdh.PublicKey, key secret) ([]byte, error) {
	ephemeral, err := pub.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	z, err := ephemeral.ECDH(pub)
	if err != nil {
		return nil, pki.Because(pki.BadKey, err, "the recipient's key cannot be agreed with")
	}
	scheme, hash := schemeOf(pub.Curve())
	wrap := der.Append(nil, asn1.SEQUENCE, der.MustOID(wrapOf(len(key))))
	kek := deriveX963(hash, z, wrap, nil, len(key))
	defer clear(kek)
	wrapped, err := wrapKey(kek, key)
	if err != nil {
		return nil, err
	}
	algorithm := der.MustOID(der.OIDECPublicKey)
	if pub.Curve() == ecdh.X25519() {
		algorithm = der.MustOID(der.OIDX25519)
	}
	originator := der.Append(nil, asn1.SEQUENCE, algorithm) // without parameters, which are pub's
	originator = der.AppendBitString(originator, ephemeral.PublicKey().Bytes())
	originator = der.Append(nil, der.Explicit(1), originator)

	recipient, err := p.appendName(nil, r.KeyID)
	if err != nil {
		return nil, err
	}
	if r.KeyID { // a RecipientKeyIdentifier without date and other
		recipient = der.Append(nil, der.Explicit(0), der.Append(nil, asn1.OCTET_STRING, p.keyID))
	}
	recipient = der.Append(recipient, asn1.OCTET_STRING, wrapped)
	recipient = der.Append(nil, asn1.SEQUENCE, recipient)

	info := der.AppendInteger(nil, 3)
	info = der.Append(info, der.Explicit(0), originator)
	info = der.Append(info, asn1.SEQUENCE, append(der.MustOID(scheme), wrap...))
	info = der.Append(info, asn1.SEQUENCE, recipient)
	return der.Wrap(info, 0, der.Explicit(1)), nil
}

// deriveX963 derives a key-encryption key from a shared secret, by the KDF of ANSI X9.63
// over ECC-CMS-SharedInfo (RFC 5753, 7.2). wrap is the AlgorithmIdentifier of what the
// key is for.
func deriveX963(hash crypto.Hash, z, wrap, ukm []byte, size int) secret {
	shared := append([]byte(nil), wrap...)
	if ukm != nil {
		shared = der.Append(shared, der.Explicit(0), der.Append(nil, asn1.OCTET_STRING, ukm))
	}
	bits := binary.BigEndian.AppendUint32(nil, uint32(8*size))
	shared = der.Append(shared, der.Explicit(2), der.Append(nil, asn1.OCTET_STRING, bits))
	shared = der.Wrap(shared, 0, asn1.SEQUENCE)

	var key secret
	h := hash.New()
	for counter := uint32(1); len(key) < size; counter++ {
		h.Reset()
		h.Write(z)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		h.Write(shared)
		key = h.Sum(key)
	}
	return key[:size]
}
