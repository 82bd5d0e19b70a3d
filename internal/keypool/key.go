package keypool

import (
	"crypto"
	"fmt"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Key is a private key of the pool's. It prints as [secret].
type Key struct {
	public  tbs.PublicKey
	signer  crypto.Signer
	private pki.PrivateKey
}

// open reads a key that the pool has.
func open(private pki.PrivateKey) (*Key, error) {
	signer, err := keystore.ParsePrivateKey(private.Reveal())
	if err != nil {
		return nil, err
	}
	public, err := tbs.NewPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	return &Key{public, signer, private}, nil
}

// Public returns the public key.
func (k *Key) Public() tbs.PublicKey { return k.public }

// Request returns the request (PKCS #10) of a CertificationRequestInfo for the key.
func (k *Key) Request(info []byte) ([]byte, error) {
	algorithm := k.public.SignatureAlgorithm()
	signature, err := tbs.Sign(k.signer, algorithm, info)
	if err != nil {
		return nil, err
	}
	return tbs.AppendSigned(nil, info, algorithm, signature), nil
}

// Private returns the private key.
func (k *Key) Private() pki.PrivateKey { return k.private }

// Format prints "[secret]" for every verb.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

// MarshalText returns "[secret]": a key does not leave through an encoder.
func (Key) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
