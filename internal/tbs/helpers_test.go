package tbs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/slhdsa"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// newSigner makes a key of the given kind.
func newSigner(t testing.TB, kind pki.KeyKind) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case pki.P256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case pki.P384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case pki.P521:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case pki.RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case pki.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case pki.MLDSA44:
		key, err = mldsa.GenerateKey(mldsa.MLDSA44())
	case pki.MLDSA65:
		key, err = mldsa.GenerateKey(mldsa.MLDSA65())
	case pki.MLDSA87:
		key, err = mldsa.GenerateKey(mldsa.MLDSA87())
	case pki.SLHDSA:
		_, key, err = slhdsa.GenerateKey(rand.Reader, slhdsa.SHA2_128s)
	default:
		t.Fatalf("no key of kind %s", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publicKey returns the signer's public key.
func publicKey(t testing.TB, key crypto.Signer) PublicKey {
	t.Helper()
	pub, err := NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// must returns b, or ends the test.
func must(t testing.TB) func(b []byte, err error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// postQuantum are the kinds that crypto/x509 does not know.
var postQuantum = []pki.KeyKind{pki.MLDSA44, pki.MLDSA65, pki.MLDSA87, pki.SLHDSA}

// allKinds are the others that newSigner makes, one of each size that matters.
var allKinds = []pki.KeyKind{pki.P256, pki.P384, pki.P521, pki.RSA2048, pki.Ed25519}

// node returns an element whose content is the parts.
func node(tag asn1.Tag, parts ...[]byte) []byte {
	return der.Append(nil, tag, bytes.Join(parts, nil))
}

// seq returns a SEQUENCE of the parts.
func seq(parts ...[]byte) []byte { return node(asn1.SEQUENCE, parts...) }

// set returns a SET of the parts.
func set(parts ...[]byte) []byte { return node(asn1.SET, parts...) }

// wantKind fails the test unless err has the kind.
func wantKind(t testing.TB, err error, kind pki.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted, want %s", kind)
	} else if got := pki.KindOf(err); got != kind {
		t.Errorf("kind %s, want %s: %v", got, kind, err)
	}
}
