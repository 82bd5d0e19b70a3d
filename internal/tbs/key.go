package tbs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha1"
	"fmt"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/slhdsa"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A PublicKey is a subject's or a signer's public key. It is an interface so
// that algorithms without a type in the standard library go the same way.
type PublicKey interface {
	// Kind returns the algorithm and size, as "p256", "rsa3072"; an RSA key of
	// any size is "rsa" followed by its bits.
	Kind() pki.KeyKind
	// SPKI returns the DER SubjectPublicKeyInfo. The caller must not change it.
	SPKI() []byte
	// KeyID returns the SHA-1 hash of the subjectPublicKey bits (RFC 5280,
	// 4.2.1.2, method 1). The caller must not change it.
	KeyID() []byte
	// SignatureAlgorithm returns the algorithm that pando signs with under this
	// key: ECDSA with the hash of the curve's size, RSA PKCS #1 v1.5 with
	// SHA-256, RSA PSS where the key is a PSSKey, Ed25519, ML-DSA, SLH-DSA.
	SignatureAlgorithm() SignatureAlgorithm
	// Verify checks a signature by this key over message. It fails for an
	// algorithm that does not fit the key; for one that does, with any hash of
	// ParseSignatureAlgorithm.
	Verify(alg SignatureAlgorithm, message, signature []byte) error
	// Crypto returns the key as its library has it: *ecdsa.PublicKey,
	// *rsa.PublicKey, ed25519.PublicKey, *mldsa.PublicKey (filippo.io/mldsa) or
	// slhdsa.PublicKey (circl).
	Crypto() crypto.PublicKey
}

// ParsePublicKey reads a DER SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) and keeps
// it: spki must not change as long as the key is used. It knows
//
//   - ECDSA keys on P-256, P-384 and P-521, as a named curve and an uncompressed
//     point that is on it (RFC 5480),
//   - RSA keys of 1024 to 8192 bits with an odd modulus and an exponent from 1 to
//     2^31-1 (RFC 3279, 2.3.1); what is too weak to certify is for the policy,
//   - Ed25519 keys (RFC 8410),
//   - ML-DSA-44, -65 and -87 keys (RFC 9881),
//   - SLH-DSA-SHA2-128s keys (RFC 9909).
//
// Anything else is a BadKey error.
func ParsePublicKey(spki []byte) (PublicKey, error) {
	info, ok := der.ReadOnly(spki, asn1.SEQUENCE)
	var algorithm cryptobyte.String
	var bits []byte
	if !ok || !info.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!info.ReadASN1BitStringAsBytes(&bits) || !info.Empty() {
		return nil, pki.Errorf(pki.BadKey, "the public key is not a well-formed SubjectPublicKeyInfo")
	}
	base := keyBase{spki: spki, id: identifier(bits)}
	switch string(algorithm) {
	case keyAlgorithmP256, keyAlgorithmP384, keyAlgorithmP521:
		return parseECDSA(base, string(algorithm), bits)
	case keyAlgorithmRSA:
		return parseRSA(base, bits)
	case keyAlgorithmEd25519:
		return parseEd25519(base, bits)
	case keyAlgorithmMLDSA44, keyAlgorithmMLDSA65, keyAlgorithmMLDSA87:
		return parseMLDSA(base, string(algorithm), bits)
	case keyAlgorithmSLHDSA:
		return parseSLHDSA(base, bits)
	}
	return nil, pki.Errorf(pki.BadKey, "the public key's algorithm or its parameters are not supported; supported are ECDSA on the named curves P-256, P-384 and P-521, RSA, Ed25519, ML-DSA-44, -65 and -87, and SLH-DSA-SHA2-128s")
}

// identifier returns the SHA-1 hash of b. SHA-1 names keys and issuers (RFC 5280,
// 4.2.1.2; RFC 6960, 4.1.1) and protects nothing: FIPS 140-3 does not concern it, so
// that it is computed where nothing but approved algorithms may be used.
func identifier(b []byte) (id [sha1.Size]byte) {
	fips140.WithoutEnforcement(func() { id = sha1.Sum(b) })
	return id
}

// NewPublicKey returns the key for one of the types that PublicKey.Crypto returns, or
// for a PSSKey. It refuses what ParsePublicKey refuses.
func NewPublicKey(pub crypto.PublicKey) (PublicKey, error) {
	var algorithm string
	var bits []byte
	var err error
	switch pub := pub.(type) {
	case PSSKey:
		key, err := NewPublicKey(pub.PublicKey)
		if err != nil {
			return nil, err
		}
		key.(*rsaKey).pss = true
		return key, nil
	case *ecdsa.PublicKey:
		algorithm, bits, err = encodeECDSA(pub)
	case *rsa.PublicKey:
		algorithm, bits = keyAlgorithmRSA, encodeRSA(pub)
	case ed25519.PublicKey:
		algorithm, bits = keyAlgorithmEd25519, pub
	case *mldsa.PublicKey:
		algorithm, bits = encodeMLDSA(pub)
	case slhdsa.PublicKey:
		algorithm, bits, err = encodeSLHDSA(pub)
	default:
		err = fmt.Errorf("a public key of type %T", pub)
	}
	if err != nil {
		return nil, pki.Because(pki.BadKey, err, "the public key is of an algorithm that is not supported")
	}
	spki := der.Append(nil, asn1.SEQUENCE, []byte(algorithm))
	spki = der.AppendBitString(spki, bits)
	return ParsePublicKey(der.Wrap(spki, 0, asn1.SEQUENCE))
}

// keyBase is what the keys of all algorithms have.
type keyBase struct {
	spki []byte
	id   [sha1.Size]byte
}

func (b *keyBase) SPKI() []byte  { return b.spki }
func (b *keyBase) KeyID() []byte { return b.id[:] }

// The content octets of the AlgorithmIdentifier of each kind of key. DER has one
// form for each, so that they can be compared.
var (
	keyAlgorithmP256    = string(der.MustOID(der.OIDECPublicKey)) + string(der.MustOID(der.OIDP256))
	keyAlgorithmP384    = string(der.MustOID(der.OIDECPublicKey)) + string(der.MustOID(der.OIDP384))
	keyAlgorithmP521    = string(der.MustOID(der.OIDECPublicKey)) + string(der.MustOID(der.OIDP521))
	keyAlgorithmRSA     = string(der.MustOID(der.OIDRSA)) + asn1Null
	keyAlgorithmEd25519 = string(der.MustOID(der.OIDEd25519))
	keyAlgorithmMLDSA44 = string(der.MustOID(der.OIDMLDSA44))
	keyAlgorithmMLDSA65 = string(der.MustOID(der.OIDMLDSA65))
	keyAlgorithmMLDSA87 = string(der.MustOID(der.OIDMLDSA87))
	keyAlgorithmSLHDSA  = string(der.MustOID(der.OIDSLHDSA))
)

const asn1Null = "\x05\x00"
