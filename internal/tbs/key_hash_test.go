package tbs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"testing"

	"github.com/pando-pki/pando/internal/tbs"
)

// TestSecretHash: a point and its negative, which Go computes from the negative of the
// secret, are keys of one secret.
func TestSecretHash(t *testing.T) {
	parse := func(pub crypto.PublicKey) tbs.PublicKey {
		t.Helper()
		spki, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		key, err := tbs.ParsePublicKey(spki)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		for range 20 {
			secret, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := secret.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			n := new(big.Int).Sub(curve.Params().N, new(big.Int).SetBytes(raw))
			twin, err := ecdsa.ParseRawPrivateKey(curve, n.FillBytes(raw))
			if err != nil {
				t.Fatal(err)
			}
			own, other := parse(secret.Public()), parse(twin.Public())
			a, b := tbs.KeyHashes(own)
			c, d := tbs.KeyHashes(other)
			if a != d || b != c || a == b {
				t.Fatalf("%s: %x %x and %x %x", curve.Params().Name, a, b, c, d)
			}
			if tbs.SecretHash(own) != tbs.SecretHash(other) {
				t.Fatalf("%s: one secret, two hashes", curve.Params().Name)
			}
		}
	}
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	negative := append(ed25519.PublicKey(nil), pub...)
	negative[31] ^= 0x80
	if tbs.SecretHash(parse(pub)) != tbs.SecretHash(parse(negative)) {
		t.Error("Ed25519: one secret, two hashes")
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if own, same := tbs.KeyHashes(parse(rsaKey.Public())); own != same {
		t.Error("RSA: two hashes")
	}
}
