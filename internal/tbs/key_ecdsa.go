package tbs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
)

// An ecdsaKey is a public key on P-256, P-384 or P-521.
type ecdsaKey struct {
	keyBase
	pub  *ecdsa.PublicKey
	kind pki.KeyKind
}

func parseECDSA(base keyBase, algorithm string, point []byte) (PublicKey, error) {
	var curve elliptic.Curve
	var kind pki.KeyKind
	switch algorithm {
	case keyAlgorithmP256:
		curve, kind = elliptic.P256(), pki.P256
	case keyAlgorithmP384:
		curve, kind = elliptic.P384(), pki.P384
	case keyAlgorithmP521:
		curve, kind = elliptic.P521(), pki.P521
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, pki.Because(pki.BadKey, err, "the public key is not an uncompressed point on the curve %s", kind)
	}
	return &ecdsaKey{keyBase: base, pub: pub, kind: kind}, nil
}

func encodeECDSA(pub *ecdsa.PublicKey) (algorithm string, point []byte, err error) {
	switch pub.Curve {
	case elliptic.P256():
		algorithm = keyAlgorithmP256
	case elliptic.P384():
		algorithm = keyAlgorithmP384
	case elliptic.P521():
		algorithm = keyAlgorithmP521
	default:
		return "", nil, errors.New("a curve that is none of P-256, P-384, P-521")
	}
	point, err = pub.Bytes()
	return algorithm, point, err
}

func (k *ecdsaKey) Kind() pki.KeyKind        { return k.kind }
func (k *ecdsaKey) Crypto() crypto.PublicKey { return k.pub }

func (k *ecdsaKey) SignatureAlgorithm() SignatureAlgorithm {
	switch k.kind {
	case pki.P384:
		return ecdsaSHA384
	case pki.P521:
		return ecdsaSHA512
	default:
		return ecdsaSHA256
	}
}

func (k *ecdsaKey) Verify(alg SignatureAlgorithm, message, signature []byte) error {
	if alg.scheme != schemeECDSA {
		return fmt.Errorf("%s does not fit a key on %s", alg.Name, k.kind)
	}
	var buf [64]byte
	if !ecdsa.VerifyASN1(k.pub, digest(buf[:0], alg.Hash, message), signature) {
		return errors.New("the ECDSA signature does not verify")
	}
	return nil
}
