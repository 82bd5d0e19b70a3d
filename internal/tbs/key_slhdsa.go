package tbs

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/sign/slhdsa"

	"github.com/pando-pki/pando/internal/pki"
)

// An slhdsaKey is an SLH-DSA-SHA2-128s public key (FIPS 205; RFC 9909), used without
// pre-hashing and with an empty context.
type slhdsaKey struct {
	keyBase
	pub slhdsa.PublicKey
}

// slhdsaPublicKey is the length of a public key in octets.
const slhdsaPublicKey = 32

func parseSLHDSA(base keyBase, bits []byte) (PublicKey, error) {
	k := &slhdsaKey{keyBase: base, pub: slhdsa.PublicKey{ID: slhdsa.SHA2_128s}}
	if len(bits) != slhdsaPublicKey {
		return nil, pki.Errorf(pki.BadKey, "the SLH-DSA public key has %d octets; it has %d", len(bits), slhdsaPublicKey)
	}
	if err := k.pub.UnmarshalBinary(bits); err != nil {
		return nil, pki.Because(pki.BadKey, err, "the public key is not one of SLH-DSA-SHA2-128s")
	}
	return k, nil
}

func encodeSLHDSA(pub slhdsa.PublicKey) (algorithm string, bits []byte, err error) {
	if pub.ID != slhdsa.SHA2_128s {
		return "", nil, fmt.Errorf("a key of %s", pub.ID)
	}
	bits, err = pub.MarshalBinary()
	return keyAlgorithmSLHDSA, bits, err
}

func (k *slhdsaKey) Kind() pki.KeyKind        { return pki.SLHDSA }
func (k *slhdsaKey) Crypto() crypto.PublicKey { return k.pub }

func (k *slhdsaKey) SignatureAlgorithm() SignatureAlgorithm { return pureSLHDSA }

func (k *slhdsaKey) Verify(alg SignatureAlgorithm, message, signature []byte) error {
	if alg.scheme != schemeSLHDSA {
		return fmt.Errorf("%s does not fit a key of kind %s", alg.Name, pki.SLHDSA)
	}
	if !slhdsa.Verify(&k.pub, slhdsa.NewMessage(message), signature, nil) {
		return errors.New("the SLH-DSA signature does not verify")
	}
	return nil
}
