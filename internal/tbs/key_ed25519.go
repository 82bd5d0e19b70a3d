package tbs

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
)

// An ed25519Key is an Ed25519 public key (RFC 8032, 5.1), used without
// pre-hashing.
type ed25519Key struct {
	keyBase
	pub ed25519.PublicKey
}

func parseEd25519(base keyBase, bits []byte) (PublicKey, error) {
	if len(bits) != ed25519.PublicKeySize {
		return nil, pki.Errorf(pki.BadKey, "the Ed25519 public key has %d octets; it has %d", len(bits), ed25519.PublicKeySize)
	}
	return &ed25519Key{keyBase: base, pub: ed25519.PublicKey(bits)}, nil
}

func (k *ed25519Key) Kind() pki.KeyKind        { return pki.Ed25519 }
func (k *ed25519Key) Crypto() crypto.PublicKey { return k.pub }

func (k *ed25519Key) SignatureAlgorithm() SignatureAlgorithm { return pureEd25519 }

func (k *ed25519Key) Verify(alg SignatureAlgorithm, message, signature []byte) error {
	if alg.scheme != schemeEd25519 {
		return fmt.Errorf("%s does not fit an Ed25519 key", alg.Name)
	}
	if !ed25519.Verify(k.pub, message, signature) {
		return errors.New("the Ed25519 signature does not verify")
	}
	return nil
}
