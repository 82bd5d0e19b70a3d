package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/slhdsa"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

const (
	minRSABits   = 2048
	maxRSABits   = 4096
	exponent     = 65537 // of all that makes keys today: another would make a second key of the same secret
	fermatRounds = 100
)

// CheckKey refuses, as BadKey, a key that is known to be weak: an RSA modulus that
// does not have 2048 to 4096 bits, a multiple of 8, that has a factor below 752, the
// ROCA fingerprint or factors close together; an RSA exponent that is not 65537; an
// Ed25519 point of small order. That an EC point is on its curve,
// and not the point at infinity, tbs.ParsePublicKey has seen. The block list of
// keys is the caller's. That a modulus is no prime would cost two hundred times the rest,
// 5 ms, and whoever has one gives nobody away but themselves.
func CheckKey(key tbs.PublicKey) error {
	switch pub := key.Crypto().(type) {
	case *ecdsa.PublicKey:
		switch key.Kind() {
		case pki.P256, pki.P384, pki.P521:
			return nil
		}
	case ed25519.PublicKey:
		if isSmallOrder(pub) {
			return pki.Errorf(pki.BadKey, "the Ed25519 key is a point of small order: anybody can sign for it")
		}
		return nil
	case *rsa.PublicKey:
		return checkRSA(pub)
	case *mldsa.PublicKey, slhdsa.PublicKey:
		return nil // any octets of the right length are a key (FIPS 204, 7.2; FIPS 205, 9.1)
	}
	return pki.Errorf(pki.BadKey, "keys of kind %s are not known to be safe", key.Kind())
}

func checkRSA(pub *rsa.PublicKey) error {
	bits := pub.N.BitLen()
	if bits < minRSABits || bits > maxRSABits || bits%8 != 0 {
		return pki.Errorf(pki.BadKey, "the RSA modulus has %d bits; it has %d to %d, a multiple of 8", bits, minRSABits, maxRSABits)
	}
	if pub.E != exponent {
		return pki.Errorf(pki.BadKey, "the RSA exponent is %d; it is %d", pub.E, exponent)
	}
	if pub.N.Bit(0) == 0 {
		return pki.Errorf(pki.BadKey, "the RSA modulus is even")
	}
	residues := residuesOf(pub.N)
	for i, r := range residues {
		if r == 0 {
			return pki.Errorf(pki.BadKey, "the RSA modulus has the small factor %d", smallPrimes[i])
		}
	}
	if hasROCAFingerprint(&residues) {
		return pki.Errorf(pki.BadKey, "the RSA key has the ROCA fingerprint (CVE-2017-15361): its private key can be computed")
	}
	if hasCloseFactors(pub.N, fermatRounds) {
		return pki.Errorf(pki.BadKey, "the RSA modulus has factors that are close together: its private key can be computed")
	}
	return nil
}

// isSmallOrder reports whether an Ed25519 key is one of the encodings of the
// eight points whose order divides 8; the sign bit does not matter. Under such a
// key signatures can be made without a private key.
func isSmallOrder(key ed25519.PublicKey) bool {
	var y [ed25519.PublicKeySize]byte
	copy(y[:], key)
	y[31] &= 0x7f
	for _, encoding := range smallOrder {
		if string(y[:]) == encoding {
			return true
		}
	}
	return false
}

// smallOrder are the y coordinates, little-endian, of the points of small order,
// with those that are not reduced modulo p = 2^255-19.
var smallOrder = [...]string{
	zeros + "\x00\x00",      // 0, order 4
	"\x01" + zeros + "\x00", // 1, the neutral element
	"\xec" + ones + "\x7f",  // p-1, order 2
	"\xed" + ones + "\x7f",  // p, which is 0
	"\xee" + ones + "\x7f",  // p+1, which is 1
	"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05", // order 8
	"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a", // order 8
}

const (
	zeros = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	ones  = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
)
