package tbs

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

func TestPublicKey(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(string(kind), func(t *testing.T) {
			signer := newSigner(t, kind)
			key := publicKey(t, signer)
			want := must(t)(x509.MarshalPKIXPublicKey(signer.Public()))
			if diff := cmp.Diff(want, key.SPKI()); diff != "" {
				t.Fatalf("SPKI (-want +got):\n%s", diff)
			}
			parsed, err := ParsePublicKey(want)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Kind() != kind {
				t.Errorf("kind %s, want %s", parsed.Kind(), kind)
			}
			var info struct {
				Algorithm asn1.RawValue
				Bits      asn1.BitString
			}
			if _, err := asn1.Unmarshal(want, &info); err != nil {
				t.Fatal(err)
			}
			id := sha1.Sum(info.Bits.Bytes)
			if diff := cmp.Diff(id[:], parsed.KeyID()); diff != "" {
				t.Errorf("key id (-want +got):\n%s", diff)
			}
			if !signer.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(parsed.Crypto()) {
				t.Error("the key is another one")
			}
		})
	}
}

// rsaSPKI encodes an RSA key that crypto/rsa would not make.
func rsaSPKI(n *big.Int, e uint64) []byte {
	bits := seq(der.AppendUnsigned(nil, n.Bytes()), der.AppendInteger(nil, e))
	return seq(seq([]byte(keyAlgorithmRSA)), der.AppendBitString(nil, bits))
}

func TestParsePublicKeyRSA(t *testing.T) {
	odd := func(bits int) *big.Int { return new(big.Int).SetBit(big.NewInt(1), bits-1, 1) }
	for _, tt := range []struct {
		name string
		n    *big.Int
		e    uint64
		want pki.KeyKind // "" is refused
	}{
		{"1024", odd(1024), 65537, "rsa1024"},
		{"2047", odd(2047), 65537, "rsa2047"},
		{"8192", odd(8192), 65537, "rsa8192"},
		{"exponent 1", odd(2048), 1, "rsa2048"},
		{"exponent 3", odd(2048), 3, "rsa2048"},
		{"exponent 2^31-1", odd(2048), 1<<31 - 1, "rsa2048"},
		{"exponent 2^31", odd(2048), 1 << 31, ""},
		{"exponent 2^64-1", odd(2048), 1<<64 - 1, ""},
		{"exponent 0", odd(2048), 0, ""},
		{"1023", odd(1023), 65537, ""},
		{"8193", odd(8193), 65537, ""},
		{"100,000", odd(100_000), 65537, ""},
		{"even", new(big.Int).Lsh(big.NewInt(1), 2047), 65537, ""},
		{"zero", new(big.Int), 65537, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, err := ParsePublicKey(rsaSPKI(tt.n, tt.e))
			if tt.want == "" {
				wantKind(t, err, pki.BadKey)
			} else if err != nil || key.Kind() != tt.want {
				t.Errorf("%v, %v, want %s", key, err, tt.want)
			}
		})
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	point := must(t)(newSigner(t, pki.P256).Public().(*ecdsa.PublicKey).Bytes())
	off := append([]byte(nil), point...)
	off[64] ^= 1
	modulus := der.AppendUnsigned(nil, newSigner(t, pki.RSA2048).Public().(*rsa.PublicKey).N.Bytes())
	exponent := der.AppendInteger(nil, 65537)
	rsaBits := der.AppendBitString(nil, seq(modulus, exponent))
	p256 := seq([]byte(keyAlgorithmP256))
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := publicKey(t, newSigner(t, pki.P256)).SPKI()
	for name, spki := range map[string][]byte{
		"empty":                   {},
		"no sequence":             {5, 0},
		"trailing octet":          append(append([]byte(nil), good...), 0),
		"field after the key":     seq(good[2:], []byte{5, 0}),
		"compressed point":        seq(p256, der.AppendBitString(nil, elliptic.MarshalCompressed(elliptic.P256(), new(big.Int).SetBytes(point[1:33]), new(big.Int).SetBytes(point[33:])))),
		"point not on the curve":  seq(p256, der.AppendBitString(nil, off)),
		"point at infinity":       seq(p256, der.AppendBitString(nil, []byte{0})),
		"no point":                seq(p256, der.AppendBitString(nil, nil)),
		"point of another curve":  seq(seq([]byte(keyAlgorithmP384)), der.AppendBitString(nil, point)),
		"unused bits":             seq(p256, node(3, []byte{1}, point[:64], []byte{0xfe})),
		"explicit curve":          seq(seq(der.MustOID(der.OIDECPublicKey), seq(der.AppendInteger(nil, 1))), der.AppendBitString(nil, point)),
		"no curve":                seq(seq(der.MustOID(der.OIDECPublicKey)), der.AppendBitString(nil, point)),
		"field after the curve":   seq(seq([]byte(keyAlgorithmP256+asn1Null)), der.AppendBitString(nil, point)),
		"P-224":                   must(t)(x509.MarshalPKIXPublicKey(p224.Public())),
		"X25519":                  must(t)(x509.MarshalPKIXPublicKey(x25519.Public())),
		"RSA without NULL":        seq(seq(der.MustOID(der.OIDRSA)), rsaBits),
		"RSA-PSS key":             seq(seq(der.MustOID("1.2.840.113549.1.1.10")), rsaBits),
		"RSA with a third number": seq(seq([]byte(keyAlgorithmRSA)), der.AppendBitString(nil, seq(modulus, exponent, exponent))),
		"RSA with trailing octet": seq(seq([]byte(keyAlgorithmRSA)), der.AppendBitString(nil, append(seq(modulus, exponent), 0))),
		"RSA negative modulus":    seq(seq([]byte(keyAlgorithmRSA)), der.AppendBitString(nil, seq(node(2, modulus[5:]), exponent))),
		"RSA padded modulus":      seq(seq([]byte(keyAlgorithmRSA)), der.AppendBitString(nil, seq(node(2, []byte{0}, modulus[4:]), exponent))),
		"Ed25519 with NULL":       seq(seq([]byte(keyAlgorithmEd25519+asn1Null)), der.AppendBitString(nil, point[:32])),
		"Ed25519 too short":       seq(seq([]byte(keyAlgorithmEd25519)), der.AppendBitString(nil, point[:31])),
		"Ed25519 too long":        seq(seq([]byte(keyAlgorithmEd25519)), der.AppendBitString(nil, point[:33])),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePublicKey(spki)
			wantKind(t, err, pki.BadKey)
		})
	}
}

func TestNewPublicKeyRefuses(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.PublicKey{
		"nil":               nil,
		"X25519":            x25519.Public(),
		"P-224":             p224.Public(),
		"negative exponent": &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: -3},
		"short Ed25519":     ed25519.PublicKey(make([]byte, 31)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewPublicKey(key)
			wantKind(t, err, pki.BadKey)
		})
	}
}
