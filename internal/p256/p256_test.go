package p256

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

func newVerifier(t testing.TB) (*ecdsa.PrivateKey, *Verifier) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, v
}

func encode(r, s *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(r)
		b.AddASN1BigInt(s)
	})
	return b.BytesOrPanic()
}

// agree checks that a Verifier says what crypto/ecdsa says, and returns it.
func agree(t *testing.T, key *ecdsa.PublicKey, v *Verifier, digest [32]byte, signature []byte) bool {
	t.Helper()
	want := ecdsa.VerifyASN1(key, digest[:], signature)
	if got := v.Verify(&digest, signature); got != want {
		t.Errorf("digest %x, signature %x: %v, and crypto/ecdsa says %v", digest, signature, got, want)
	}
	return want
}

func TestVerify(t *testing.T) {
	for range 20 {
		key, v := newVerifier(t)
		for i := range 20 {
			digest := sha256.Sum256([]byte{byte(i)})
			signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if !agree(t, &key.PublicKey, v, digest, signature) {
				t.Error("a good signature is refused")
			}
			for at := range signature {
				bad := slices.Clone(signature)
				bad[at] ^= 1 << (i % 8)
				agree(t, &key.PublicKey, v, digest, bad)
			}
			digest[i] ^= 1
			if agree(t, &key.PublicKey, v, digest, signature) {
				t.Error("a signature over another digest is taken")
			}
		}
	}
}

// TestVerifyEdges: numbers at the ends of their ranges, digests that are not reduced,
// and sums that pass through the point at infinity.
func TestVerifyEdges(t *testing.T) {
	one := big.NewInt(1)
	var numbers []*big.Int
	for _, n := range []*big.Int{new(big.Int), one, big.NewInt(2), new(big.Int).Rsh(order, 1), order, elliptic.P256().Params().P,
		new(big.Int).Sub(elliptic.P256().Params().P, order), new(big.Int).Lsh(one, 255), new(big.Int).Lsh(one, 256)} {
		numbers = append(numbers, n, new(big.Int).Add(n, one), new(big.Int).Sub(n, one))
	}
	digests := [][32]byte{{}, {31: 1}, [32]byte(bytes.Repeat([]byte{0xff}, 32)), [32]byte(order.FillBytes(make([]byte, 32)))}
	keys := []*big.Int{one, big.NewInt(2), new(big.Int).Sub(order, one), new(big.Int).Rsh(order, 1)}
	good := 0
	for _, d := range keys {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
		if err != nil {
			t.Fatal(err)
		}
		v, err := New(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		for _, digest := range digests {
			for _, r := range numbers {
				for _, s := range numbers {
					if agree(t, &key.PublicKey, v, digest, encode(r, s)) {
						good++
					}
				}
			}
			// Signatures with the nonce 1: r is the base point's own x. The key 1 has
			// sums of equal and of opposite points.
			x := new(big.Int).Mod(elliptic.P256().Params().Gx, order)
			s := new(big.Int).Mul(x, d)
			s.Add(s, new(big.Int).SetBytes(digest[:])).Mod(s, order)
			if agree(t, &key.PublicKey, v, digest, encode(x, s)) {
				good++
			}
		}
	}
	if good == 0 {
		t.Error("none of these is a signature")
	}
}

func TestParseRefuses(t *testing.T) {
	key, v := newVerifier(t)
	digest := sha256.Sum256(nil)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "cut": signature[:len(signature)-1], "with more": append(slices.Clone(signature), 0),
		"one number": {0x30, 3, 2, 1, 1}, "three numbers": {0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1},
		"long form": append([]byte{0x30, 0x81, signature[1]}, signature[2:]...),
	} {
		if agree(t, &key.PublicKey, v, digest, bad) {
			t.Error(name)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(&key.PublicKey); err == nil {
		t.Error("a key on P-384 is taken")
	}
}

func FuzzVerify(f *testing.F) {
	key, v := newVerifier(f)
	digest := sha256.Sum256(nil)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(digest[:], signature)
	f.Fuzz(func(t *testing.T, b, signature []byte) {
		var digest [32]byte
		copy(digest[:], b)
		agree(t, &key.PublicKey, v, digest, signature)
	})
}

func BenchmarkVerify(b *testing.B) {
	key, v := newVerifier(b)
	digest := sha256.Sum256(nil)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("by a table", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !v.Verify(&digest, signature) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("crypto/ecdsa", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				b.Fatal("refused")
			}
		}
	})
	b.Run("New", func(b *testing.B) {
		for b.Loop() {
			if _, err := New(&key.PublicKey); err != nil {
				b.Fatal(err)
			}
		}
	})
}
