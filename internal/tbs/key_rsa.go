package tbs

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// The sizes of RSA keys that are read at all, in bits.
const (
	minRSABits = 1024
	maxRSABits = 8192
)

// An rsaKey is an RSA public key, used with PKCS #1 v1.5, or with PSS.
type rsaKey struct {
	keyBase
	pub *rsa.PublicKey
	pss bool
}

// A PSSKey is the public key of a private key that signs by RSASSA-PSS alone. Its
// SubjectPublicKeyInfo is that of any RSA key (RFC 4055, 1.2: rsaEncryption), since few
// read another: how it signs only its owner knows.
type PSSKey struct{ *rsa.PublicKey }

func parseRSA(base keyBase, bits []byte) (PublicKey, error) {
	content, ok := der.ReadOnly(bits, asn1.SEQUENCE)
	n := new(big.Int)
	var e int64
	// The length bounds the work that a number of megabytes would make.
	if !ok || len(content) > maxRSABits/8+16 ||
		!content.ReadASN1Integer(n) || !content.ReadASN1Integer(&e) || !content.Empty() {
		return nil, pki.Errorf(pki.BadKey, "the RSA public key is not a well-formed RSAPublicKey of at most %d bits", maxRSABits)
	}
	switch {
	case n.Sign() <= 0 || n.BitLen() < minRSABits || n.BitLen() > maxRSABits:
		return nil, pki.Errorf(pki.BadKey, "the RSA modulus has %d bits; it has %d to %d", n.BitLen(), minRSABits, maxRSABits)
	case n.Bit(0) == 0:
		return nil, pki.Errorf(pki.BadKey, "the RSA modulus is even")
	case e < 1 || e > math.MaxInt32:
		return nil, pki.Errorf(pki.BadKey, "the RSA exponent is not a positive number below 2^31")
	}
	return &rsaKey{keyBase: base, pub: &rsa.PublicKey{N: n, E: int(e)}}, nil
}

// encodeRSA returns the RSAPublicKey of RFC 8017, A.1.1. An exponent that is not
// positive becomes one that parseRSA refuses.
func encodeRSA(pub *rsa.PublicKey) []byte {
	bits := der.AppendUnsigned(nil, pub.N.Bytes())
	bits = der.AppendInteger(bits, uint64(max(pub.E, 0)))
	return der.Wrap(bits, 0, asn1.SEQUENCE)
}

func (k *rsaKey) Kind() pki.KeyKind {
	kind := "rsa" + strconv.Itoa(k.pub.N.BitLen())
	if k.pss {
		kind += "-pss"
	}
	return pki.KeyKind(kind)
}

func (k *rsaKey) Crypto() crypto.PublicKey { return k.pub }

func (k *rsaKey) SignatureAlgorithm() SignatureAlgorithm {
	switch bits := k.pub.N.BitLen(); {
	case !k.pss:
		return rsaSHA256
	case bits < 3072:
		return pssSHA256
	case bits < 4096:
		return pssSHA384
	default:
		return pssSHA512
	}
}

func (k *rsaKey) Verify(alg SignatureAlgorithm, message, signature []byte) error {
	var buf [64]byte
	switch alg.scheme {
	case schemeRSA:
		if k.pss {
			break
		}
		return rsa.VerifyPKCS1v15(k.pub, alg.Hash, digest(buf[:0], alg.Hash, message), signature)
	case schemePSS:
		return rsa.VerifyPSS(k.pub, alg.Hash, digest(buf[:0], alg.Hash, message), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return fmt.Errorf("%s does not fit an RSA key", alg.Name)
}
