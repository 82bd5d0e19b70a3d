package policy

import "math/big"

// smallPrimes are the odd primes below 752, the bound of trial division in
// ordinary RSA key generation.
var smallPrimes = oddPrimes()

const smallPrimeCount = 132

func oddPrimes() (primes [smallPrimeCount]uint64) {
	n := 0
next:
	for candidate := uint64(3); n < smallPrimeCount; candidate += 2 {
		for _, p := range primes[:n] {
			if candidate%p == 0 {
				continue next
			}
		}
		primes[n] = candidate
		n++
	}
	return primes
}

// residues are a number modulo each of smallPrimes.
type residues [smallPrimeCount]uint64

// residuesOf divides n by products of primes that fit a word, since one division
// of the whole number costs as much as twenty of a word.
func residuesOf(n *big.Int) residues {
	var all residues
	divisor, remainder := new(big.Int), new(big.Int)
	for from := 0; from < smallPrimeCount; {
		product, to := uint64(1), from
		for to < smallPrimeCount && product <= (1<<63)/smallPrimes[to] {
			product *= smallPrimes[to]
			to++
		}
		r := remainder.Mod(n, divisor.SetUint64(product)).Uint64()
		for ; from < to; from++ {
			all[from] = r % smallPrimes[from]
		}
	}
	return all
}

// A set of residues modulo a prime below 192.
type residueSet [3]uint64

func (s *residueSet) add(r uint64)      { s[r/64] |= 1 << (r % 64) }
func (s *residueSet) has(r uint64) bool { return s[r/64]&(1<<(r%64)) != 0 }

// rocaPrimeCount is how many of smallPrimes the fingerprint takes: those to 167,
// of which the product divides M for every size of key.
const rocaPrimeCount = 38

// rocaSets holds, for each prime, the powers of 65537 modulo it.
var rocaSets = powersOf65537()

func powersOf65537() (sets [rocaPrimeCount]residueSet) {
	for i := range sets {
		p := smallPrimes[i]
		for r := uint64(1); !sets[i].has(r); r = r * 65537 % p {
			sets[i].add(r)
		}
	}
	return sets
}

// hasROCAFingerprint reports whether a modulus is a power of 65537 modulo each
// prime up to 167. The primes that Infineon's library made are k*M +
// (65537^a mod M), M a product of the first primes, so that their product is one
// modulo M and each of its factors (Nemec et al., "The Return of Coppersmith's
// Attack", 2017, section 2.2). Of other moduli one in about 2^28 has the
// fingerprint too; it costs its owner a new key.
func hasROCAFingerprint(n *residues) bool {
	for i := range rocaSets {
		if !rocaSets[i].has(n[i]) {
			return false
		}
	}
	return true
}
