package tbs

import (
	"crypto"

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
	// 4.2.1.2, method 1).
	KeyID() []byte
	// SignatureAlgorithm returns the algorithm that pando signs with under this
	// key: ECDSA with the hash of the curve's size, RSA PKCS #1 v1.5 with
	// SHA-256, Ed25519.
	SignatureAlgorithm() SignatureAlgorithm
	// Verify checks a signature by this key over message. It fails for an
	// algorithm that does not fit the key.
	Verify(alg SignatureAlgorithm, message, signature []byte) error
	// Crypto returns the key as the standard library has it, or nil.
	Crypto() crypto.PublicKey
}

// A SignatureAlgorithm is a signature algorithm with its DER form.
type SignatureAlgorithm struct {
	Name string      // as "ECDSA-SHA256"
	DER  []byte      // AlgorithmIdentifier
	Hash crypto.Hash // 0 where the message is signed whole
}
