package tbs

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha256"

	"github.com/pando-pki/pando/internal/pki"
)

// maxCurveSPKI is the size of the largest SubjectPublicKeyInfo of a curve, that of P-521.
const maxCurveSPKI = 158

// The primes of the curves, big-endian.
var (
	primeP256 = elliptic.P256().Params().P.Bytes()
	primeP384 = elliptic.P384().Params().P.Bytes()
	primeP521 = elliptic.P521().Params().P.Bytes()
)

// KeyHashes returns the SHA-256 of the key's SubjectPublicKeyInfo, and that of the other
// key which the same secret makes: the negative of a point on a curve, whose secret is
// the negative. For keys that have none it is the same.
func KeyHashes(key PublicKey) (own, negative [32]byte) {
	spki := key.SPKI()
	own = sha256.Sum256(spki)
	var buffer [maxCurveSPKI]byte
	other := append(buffer[:0], spki...)
	switch key.Kind() {
	case pki.P256:
		negate(other, primeP256)
	case pki.P384:
		negate(other, primeP384)
	case pki.P521:
		negate(other, primeP521)
	case pki.Ed25519:
		other[len(other)-1] ^= 0x80 // the sign of x (RFC 8032, 5.1.2)
	default:
		return own, own
	}
	return own, sha256.Sum256(other)
}

// SecretHash returns what is equal for the keys that one secret makes: the lesser of
// their hashes.
func SecretHash(key PublicKey) [32]byte {
	own, negative := KeyHashes(key)
	if bytes.Compare(negative[:], own[:]) < 0 {
		return negative
	}
	return own
}

// negate subtracts the y that spki ends with from p. No point of these curves has the
// y 0, since their order is odd.
func negate(spki, p []byte) {
	y := spki[len(spki)-len(p):]
	borrow := 0
	for i := len(p) - 1; i >= 0; i-- {
		d := int(p[i]) - int(y[i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		y[i] = byte(d)
	}
}
