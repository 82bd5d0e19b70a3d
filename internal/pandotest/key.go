package pandotest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// Key makes a key of a kind.
func Key(t testing.TB, kind pki.KeyKind) crypto.Signer {
	t.Helper()
	key, err := newKey(kind)
	if err != nil {
		t.Fatalf("making a %s key: %v", kind, err)
	}
	return key
}

func newKey(kind pki.KeyKind) (crypto.Signer, error) {
	switch kind {
	case pki.P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case pki.P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case pki.P521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case pki.RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case pki.RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case pki.RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case pki.Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, pki.Errorf(pki.Malformed, "key kind %q", kind)
}
