package policy

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

func TestCheckKeyTakesGood(t *testing.T) {
	for _, kind := range pki.KeyKinds() {
		if err := CheckKey(publicKey(t, generate(t, kind).Public())); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestCheckKeyRefusesRSA(t *testing.T) {
	p, q := prime(t, 1024), prime(t, 1024)
	n := new(big.Int).Mul(p, q)
	for name, row := range map[string]struct {
		n    *big.Int
		e    int
		want string
	}{
		"1024 bits":      {ofBits(1024), 65537, "1024 bits"},
		"2040 bits":      {ofBits(2040), 65537, "2040 bits"},
		"2052 bits":      {ofBits(2052), 65537, "multiple of 8"},
		"4104 bits":      {ofBits(4104), 65537, "4104 bits"},
		"exponent 1":     {n, 1, "exponent is 1"},
		"exponent 3":     {n, 3, "exponent is 3"},
		"exponent even":  {n, 65538, "exponent is 65538"},
		"exponent 65539": {n, 65539, "exponent is 65539"},
		"factor 3":       {withFactor(t, 3), 65537, "small factor 3"},
		"factor 7":       {withFactor(t, 7), 65537, "small factor 7"},
		"factor 751":     {withFactor(t, 751), 65537, "small factor 751"},
		"even":           {new(big.Int).Lsh(big.NewInt(1), 2047), 65537, "even"},
		"square":         {new(big.Int).Mul(p, p), 65537, "close together"},
		"close primes":   {new(big.Int).Mul(p, nextPrime(p, 0)), 65537, "close together"},
		"near primes":    {new(big.Int).Mul(p, nextPrime(p, 516)), 65537, "close together"}, // some 40 rounds
		"ROCA":           {new(big.Int).Mul(rocaPrime(t), rocaPrime(t)), 65537, "ROCA"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkRSA(&rsa.PublicKey{N: row.n, E: row.e})
			if pki.KindOf(err) != pki.BadKey || !strings.Contains(pki.DetailOf(err), row.want) {
				t.Fatalf("%d bits: got %v; want %s", row.n.BitLen(), err, row.want)
			}
		})
	}
}

// prime returns a number of exactly the given bits, its two highest set, that is
// prime beyond doubt of a test.
func prime(t testing.TB, bits int) *big.Int {
	t.Helper()
	for {
		p, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
		if err != nil {
			t.Fatal(err)
		}
		p.SetBit(p, 0, 1).SetBit(p, bits-1, 1).SetBit(p, bits-2, 1)
		if p.ProbablyPrime(0) {
			return p
		}
	}
}

// withFactor returns a product of the factor and two primes, 2048 bits long.
func withFactor(t testing.TB, factor int64) *big.Int {
	f := big.NewInt(factor)
	for {
		n := new(big.Int).Mul(prime(t, 1024), prime(t, 1024-f.BitLen()))
		if n.Mul(n, f).BitLen() == 2048 {
			return n
		}
	}
}

// ofBits returns a number of the given bits that nobody looks at further.
func ofBits(bits int) *big.Int { return new(big.Int).SetBit(big.NewInt(1), bits-1, 1) }

// nextPrime returns a prime a little above p + 2^shift.
func nextPrime(p *big.Int, shift uint) *big.Int {
	q := new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), shift))
	q.SetBit(q, 0, 1)
	for q.Cmp(p) == 0 || !q.ProbablyPrime(0) {
		q.Add(q, big.NewInt(2))
	}
	return q
}

// rocaPrime makes a prime of 1024 bits as Infineon's library did: k*M +
// (65537^a mod M), with M the product of the first 126 primes.
func rocaPrime(t testing.TB) *big.Int {
	t.Helper()
	const bits, count = 1024, 126
	m := big.NewInt(2)
	for _, p := range smallPrimes[:count-1] {
		m.Mul(m, new(big.Int).SetUint64(p))
	}
	random := func(below *big.Int) *big.Int {
		n, err := rand.Int(rand.Reader, below)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	limit := new(big.Int).Lsh(big.NewInt(1), bits)
	for {
		p := new(big.Int).Mul(random(new(big.Int).Div(limit, m)), m)
		p.Add(p, new(big.Int).Exp(big.NewInt(65537), random(m), m))
		if p.BitLen() == bits && p.Bit(bits-2) == 1 && p.ProbablyPrime(0) {
			return p
		}
	}
}

// TestSieve has no square lost before a root is drawn.
func TestSieve(t *testing.T) {
	possible := 0
	for r := range uint64(sieveModulus) {
		if !maybeSquare(r * r % sieveModulus) {
			t.Fatalf("%d squared is lost", r)
		}
		if maybeSquare(r) {
			possible++
		}
	}
	if possible > sieveModulus/100 {
		t.Errorf("%d of %d residues pass", possible, sieveModulus)
	}
}

// TestROCAFalsePositives computes how rare the fingerprint is among other keys.
func TestROCAFalsePositives(t *testing.T) {
	share := 1.0
	for i, set := range rocaSets {
		size := 0
		for r := range smallPrimes[i] {
			if set.has(r) {
				size++
			}
		}
		share *= float64(size) / float64(smallPrimes[i]-1)
	}
	if share > 1.0/(1<<27) {
		t.Errorf("one in %.0f moduli has the fingerprint by chance", 1/share)
	}
	if smallPrimes[smallPrimeCount-1] != 751 || smallPrimes[rocaPrimeCount-1] != 167 {
		t.Errorf("the primes end at %d and %d", smallPrimes[smallPrimeCount-1], smallPrimes[rocaPrimeCount-1])
	}
}

// TestSmallOrderForged shows for each refused Ed25519 key that a signature can be
// made without a private key: with R = sB, the equation sB = R + hA holds where
// hA is the neutral element, which is so for one hash h of eight at least.
func TestSmallOrderForged(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	digest := sha512.Sum512(seed)
	scalar := digest[:32]
	scalar[0] &= 248
	scalar[31] = scalar[31]&127 | 64
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := reversed(scalar)
	s = reversed(new(big.Int).Mod(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32)))
	forged := append(append([]byte{}, ed25519.NewKeyFromSeed(seed)[32:]...), s...)
	for _, encoding := range smallOrder {
		key := ed25519.PublicKey(encoding)
		if len(key) != ed25519.PublicKeySize {
			t.Fatalf("%x has %d octets", key, len(key))
		}
		found := false
		for i := 0; i < 256 && !found; i++ {
			found = ed25519.Verify(key, []byte{byte(i)}, forged)
		}
		if !found {
			t.Errorf("%x: no forged signature verifies", key)
		}
		if pub, err := tbs.NewPublicKey(key); err == nil {
			if err := CheckKey(pub); pki.KindOf(err) != pki.BadKey {
				t.Errorf("%x: %v", key, err)
			}
		}
		signed := append(ed25519.PublicKey{}, key...)
		signed[31] |= 0x80
		if !isSmallOrder(signed) {
			t.Errorf("%x is not found", signed)
		}
	}
}

func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}

// TestPointNotOnCurve relies on the parser: no such key reaches CheckKey.
func TestPointNotOnCurve(t *testing.T) {
	spki := append([]byte{}, publicKey(t, generate(t, pki.P256).Public()).SPKI()...)
	spki[len(spki)-1] ^= 1
	if _, err := tbs.ParsePublicKey(spki); pki.KindOf(err) != pki.BadKey {
		t.Errorf("a point not on the curve: %v", err)
	}
	p224, err := hex.DecodeString("304e301006072a8648ce3d020106052b81040021033a00")
	if err != nil {
		t.Fatal(err)
	}
	params := elliptic.P224().Params()
	p224 = append(p224, 4)
	p224 = append(p224, params.Gx.FillBytes(make([]byte, 28))...)
	p224 = append(p224, params.Gy.FillBytes(make([]byte, 28))...)
	if _, err := tbs.ParsePublicKey(p224); pki.KindOf(err) != pki.BadKey {
		t.Errorf("a P-224 key: %v", err)
	}
}

func BenchmarkCheckKey(b *testing.B) {
	for _, kind := range pki.KeyKinds() {
		key := publicKey(b, generate(b, kind).Public())
		b.Run(string(kind), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := CheckKey(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
