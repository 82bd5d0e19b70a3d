package tbs

import (
	"crypto"
	"errors"
	"fmt"

	"filippo.io/mldsa"

	"github.com/pando-pki/pando/internal/pki"
)

// An mldsaKey is an ML-DSA public key (FIPS 204; RFC 9881, 4), used without
// pre-hashing and with an empty context.
type mldsaKey struct {
	keyBase
	pub  *mldsa.PublicKey
	kind pki.KeyKind
	alg  *SignatureAlgorithm
}

func parseMLDSA(base keyBase, algorithm string, bits []byte) (PublicKey, error) {
	k := &mldsaKey{keyBase: base}
	var parameters mldsa.Parameters
	switch algorithm {
	case keyAlgorithmMLDSA44:
		parameters, k.kind, k.alg = mldsa.MLDSA44(), pki.MLDSA44, &pureMLDSA44
	case keyAlgorithmMLDSA65:
		parameters, k.kind, k.alg = mldsa.MLDSA65(), pki.MLDSA65, &pureMLDSA65
	case keyAlgorithmMLDSA87:
		parameters, k.kind, k.alg = mldsa.MLDSA87(), pki.MLDSA87, &pureMLDSA87
	}
	var err error
	if k.pub, err = mldsa.NewPublicKey(parameters, bits); err != nil {
		return nil, pki.Because(pki.BadKey, err, "the public key is not one of %s", parameters)
	}
	return k, nil
}

func encodeMLDSA(pub *mldsa.PublicKey) (algorithm string, bits []byte) {
	switch pub.Parameters() {
	case mldsa.MLDSA44():
		algorithm = keyAlgorithmMLDSA44
	case mldsa.MLDSA65():
		algorithm = keyAlgorithmMLDSA65
	case mldsa.MLDSA87():
		algorithm = keyAlgorithmMLDSA87
	}
	return algorithm, pub.Bytes()
}

func (k *mldsaKey) Kind() pki.KeyKind        { return k.kind }
func (k *mldsaKey) Crypto() crypto.PublicKey { return k.pub }

func (k *mldsaKey) SignatureAlgorithm() SignatureAlgorithm { return *k.alg }

func (k *mldsaKey) Verify(alg SignatureAlgorithm, message, signature []byte) error {
	if alg.scheme != k.alg.scheme {
		return fmt.Errorf("%s does not fit a key of kind %s", alg.Name, k.kind)
	}
	if mldsa.Verify(k.pub, message, signature, nil) != nil {
		return errors.New("the ML-DSA signature does not verify")
	}
	return nil
}
