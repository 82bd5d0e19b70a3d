package policy

import "math/big"

// hasCloseFactors runs Fermat's factorisation for a number of rounds: it looks
// for a > sqrt(n) such that a*a-n is a square b*b, since then n = (a-b)(a+b).
// Factors that were chosen at random never show; those of CVE-2022-26320 show in
// the first rounds.
func hasCloseFactors(n *big.Int, rounds uint64) bool {
	root := new(big.Int).Sqrt(n)
	square := new(big.Int).Mul(root, root)
	if square.Cmp(n) == 0 {
		return true
	}
	modulus := new(big.Int).SetUint64(sieveModulus)
	nMod := new(big.Int).Mod(n, modulus).Uint64()
	rootMod := new(big.Int).Mod(root, modulus).Uint64()
	a, difference := new(big.Int), new(big.Int)
	for i := uint64(1); i <= rounds; i++ {
		aMod := (rootMod + i) % sieveModulus
		if !maybeSquare((aMod*aMod + sieveModulus - nMod) % sieveModulus) {
			continue
		}
		a.Add(root, a.SetUint64(i))
		difference.Mul(a, a)
		difference.Sub(difference, n)
		b := a.Sqrt(difference)
		if square.Mul(b, b).Cmp(difference) == 0 {
			return true
		}
	}
	return false
}

// A root of a number of 2048 bits costs as much as all else, so a sieve comes
// before it: of all numbers, less than one in a hundred is a square modulo each
// of these.
const sieveModulus = 64 * 63 * 65 * 11

var squares64, squares63, squares65, squares11 = squaresOf(64), squaresOf(63), squaresOf(65), squaresOf(11)

func squaresOf(modulus uint64) (set residueSet) {
	for r := range modulus {
		set.add(r * r % modulus)
	}
	return set
}

// maybeSquare reports whether a number that is r modulo sieveModulus can be a
// square.
func maybeSquare(r uint64) bool {
	return squares64.has(r%64) && squares63.has(r%63) && squares65.has(r%65) && squares11.has(r%11)
}
