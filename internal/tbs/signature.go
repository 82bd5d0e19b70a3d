package tbs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A SignatureAlgorithm is a signature algorithm with its DER form. It comes from
// a key or from ParseSignatureAlgorithm; one put together elsewhere fits no key.
type SignatureAlgorithm struct {
	Name string      // as "ECDSA-SHA256"
	DER  []byte      // AlgorithmIdentifier; not to be changed
	Hash crypto.Hash // 0 where the message is signed whole

	scheme scheme
}

// A scheme is what a signature algorithm is besides its hash. The zero scheme is
// none.
type scheme byte

const (
	schemeECDSA scheme = iota + 1
	schemeRSA          // PKCS #1 v1.5
	schemeEd25519
)

// The algorithms. Parameters are absent with ECDSA and Ed25519 and NULL with RSA
// (RFC 5758, 3.2; RFC 8410, 3; RFC 4055, 5).
var (
	ecdsaSHA256 = newAlgorithm("ECDSA-SHA256", schemeECDSA, crypto.SHA256, der.OIDECDSASHA256, "")
	ecdsaSHA384 = newAlgorithm("ECDSA-SHA384", schemeECDSA, crypto.SHA384, der.OIDECDSASHA384, "")
	ecdsaSHA512 = newAlgorithm("ECDSA-SHA512", schemeECDSA, crypto.SHA512, der.OIDECDSASHA512, "")
	rsaSHA256   = newAlgorithm("RSA-SHA256", schemeRSA, crypto.SHA256, der.OIDRSASHA256, asn1Null)
	rsaSHA384   = newAlgorithm("RSA-SHA384", schemeRSA, crypto.SHA384, der.OIDRSASHA384, asn1Null)
	rsaSHA512   = newAlgorithm("RSA-SHA512", schemeRSA, crypto.SHA512, der.OIDRSASHA512, asn1Null)
	pureEd25519 = newAlgorithm("Ed25519", schemeEd25519, 0, der.OIDEd25519, "")
)

func newAlgorithm(name string, s scheme, hash crypto.Hash, oid, parameters string) SignatureAlgorithm {
	identifier := append(der.MustOID(oid), parameters...)
	return SignatureAlgorithm{Name: name, DER: der.Wrap(identifier, 0, asn1.SEQUENCE), Hash: hash, scheme: s}
}

// ParseSignatureAlgorithm returns the algorithm with the given DER
// AlgorithmIdentifier: ECDSA or RSA PKCS #1 v1.5 with SHA-256, SHA-384 or
// SHA-512, or Ed25519. With RSA the NULL may be absent (RFC 4055, 5). Any other
// is a BadProof error.
func ParseSignatureAlgorithm(identifier []byte) (SignatureAlgorithm, error) {
	content, _ := der.ReadOnly(identifier, asn1.SEQUENCE)
	for _, alg := range [...]*SignatureAlgorithm{
		&ecdsaSHA256, &ecdsaSHA384, &ecdsaSHA512, &rsaSHA256, &rsaSHA384, &rsaSHA512, &pureEd25519,
	} {
		own, _ := der.ReadOnly(alg.DER, asn1.SEQUENCE)
		if string(content) == string(own) || alg.scheme == schemeRSA && string(content)+asn1Null == string(own) {
			return *alg, nil
		}
	}
	return SignatureAlgorithm{}, pki.Errorf(pki.BadProof, "the signature algorithm is not supported; supported are ECDSA and RSA PKCS #1 v1.5 with SHA-256, SHA-384 and SHA-512, and Ed25519")
}

// Sign signs message with key, hashing it where alg hashes. ECDSA signatures are
// hedged: their nonce comes from the key, the message and crypto/rand. A key that
// alg does not fit is refused before it is used. The signature is not verified.
func Sign(key crypto.Signer, alg SignatureAlgorithm, message []byte) ([]byte, error) {
	var fits bool
	switch key.Public().(type) {
	case *ecdsa.PublicKey:
		fits = alg.scheme == schemeECDSA
	case *rsa.PublicKey:
		fits = alg.scheme == schemeRSA
	case ed25519.PublicKey:
		fits = alg.scheme == schemeEd25519
	}
	if !fits {
		return nil, fmt.Errorf("signature algorithm %q does not fit a key of type %T", alg.Name, key.Public())
	}
	var buf [64]byte
	return key.Sign(rand.Reader, digest(buf[:0], alg.Hash, message), alg.Hash)
}

// AppendSigned appends SEQUENCE{tbs, algorithm, BIT STRING signature}: a
// certificate, CRL or request. tbs must not overlap dst's spare capacity.
func AppendSigned(dst, tbs []byte, alg SignatureAlgorithm, signature []byte) []byte {
	dst = der.AppendHeader(dst, asn1.SEQUENCE, len(tbs)+len(alg.DER)+der.Size(len(signature)+1))
	dst = append(dst, tbs...)
	dst = append(dst, alg.DER...)
	return der.AppendBitString(dst, signature)
}

// digest appends to buf the hash of message, or returns message where hash is 0.
// It knows the hashes of the algorithms above and allocates for none.
func digest(buf []byte, hash crypto.Hash, message []byte) []byte {
	switch hash {
	case crypto.SHA256:
		sum := sha256.Sum256(message)
		return append(buf, sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return append(buf, sum[:]...)
	case crypto.SHA512:
		sum := sha512.Sum512(message)
		return append(buf, sum[:]...)
	default:
		return message
	}
}
