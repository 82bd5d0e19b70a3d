// Package p256 checks ECDSA signatures on the curve P-256 by a key that many are
// checked by: an authority's own, after each signature that it makes. What is
// computed of such a key once makes a check cost about half of one by crypto/ecdsa.
//
// It is about public keys alone: nothing here is secret, and no secret may come here.
// Signatures that others made are for crypto/ecdsa.
package p256

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"math/big"

	"filippo.io/nistec"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A scalar is read in windows of so many bits.
const (
	window  = 6
	windows = (256 + window - 1) / window
)

// A Verifier checks signatures by one key. It is not changed and safe for concurrent
// use; it takes 260 KiB of memory.
type Verifier struct {
	// multiples[i][j] is j+1 times 2^(i*window) times the key.
	multiples [windows][1<<window - 1]nistec.P256Point
}

// New returns the Verifier of a key on P-256.
func New(key *ecdsa.PublicKey) (*Verifier, error) {
	if key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not on the curve P-256")
	}
	b, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	base, err := nistec.NewP256Point().SetBytes(b) // which must be on the curve
	if err != nil {
		return nil, err
	}
	v := new(Verifier)
	for i := range v.multiples {
		row := &v.multiples[i]
		row[0].Set(base)
		for j := 1; j < len(row); j++ {
			row[j].Add(&row[j-1], base)
		}
		base.Add(&row[len(row)-1], base)
	}
	return v, nil
}

// order is that of the curve's group.
var order = elliptic.P256().Params().N

// Verify reports whether a signature in DER is one over a digest of 32 bytes: what
// SEC 1, version 2.0, 4.1.4 says, as ecdsa.VerifyASN1 does it.
func (v *Verifier) Verify(digest *[32]byte, signature []byte) bool {
	var r, s, e big.Int
	if !parse(signature, &r, &s) || !inRange(&r) || !inRange(&s) {
		return false
	}
	e.SetBytes(digest[:])
	s.ModInverse(&s, order)
	var u [32]byte
	sum, err := new(nistec.P256Point).ScalarBaseMult(scalar(&u, &e, &s))
	if err != nil {
		return false
	}
	v.addMultiple(sum, scalar(&u, &r, &s))
	x, err := sum.BytesX()
	if err != nil { // the point at infinity
		return false
	}
	e.SetBytes(x)
	return e.Mod(&e, order).Cmp(&r) == 0
}

// parse reads an ECDSA-Sig-Value (RFC 3279, 2.2.3) and nothing after it.
func parse(signature []byte, r, s *big.Int) bool {
	input := cryptobyte.String(signature)
	var inner cryptobyte.String
	return input.ReadASN1(&inner, asn1.SEQUENCE) && input.Empty() &&
		inner.ReadASN1Integer(r) && inner.ReadASN1Integer(s) && inner.Empty()
}

// inRange reports whether 0 < n < order.
func inRange(n *big.Int) bool { return n.Sign() > 0 && n.Cmp(order) < 0 }

// scalar sets u to a times b modulo order and returns its bytes.
func scalar(u *[32]byte, a, b *big.Int) []byte {
	var n big.Int
	n.Mul(a, b)
	return n.Mod(&n, order).FillBytes(u[:])
}

// addMultiple adds u times the key to sum.
func (v *Verifier) addMultiple(sum *nistec.P256Point, u []byte) {
	for i := range v.multiples {
		if digit := bits(u, i*window); digit > 0 {
			sum.Add(sum, &v.multiples[i][digit-1])
		}
	}
}

// bits returns the window of a big-endian number that begins with bit at, from its
// end.
func bits(u []byte, at int) int {
	last := len(u) - 1 - at/8
	two := int(u[last])
	if last > 0 {
		two |= int(u[last-1]) << 8
	}
	return two >> (at % 8) & (1<<window - 1)
}
