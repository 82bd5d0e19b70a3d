// Package der has what pando needs of the Distinguished Encoding Rules (X.690)
// beyond golang.org/x/crypto/cryptobyte: encoders that append to a byte slice
// and do not allocate, object identifiers as dotted text, and the times of
// RFC 5280.
//
// Reading is cryptobyte's, which refuses indefinite, over-long and non-minimal
// lengths, non-minimal integers and tags above 30. What this package reads on
// top is as strict. It knows no structure of any standard: those are in tbs and
// cms.
package der

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Explicit returns the tag [n] of an explicitly tagged or constructed element.
// n is at most 30.
func Explicit(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific().Constructed() }

// Implicit returns the tag [n] of an implicitly tagged primitive element. n is at
// most 30.
func Implicit(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific() }

// ReadOnly reads input as one element of the given tag with nothing after it, and
// returns its content; nil where it is anything else.
func ReadOnly(input []byte, tag asn1.Tag) (content cryptobyte.String, ok bool) {
	s := cryptobyte.String(input)
	if !s.ReadASN1(&content, tag) || !s.Empty() {
		return nil, false
	}
	return content, true
}

// AppendHeader appends the identifier and length octets of an element with n
// octets of content.
func AppendHeader(dst []byte, tag asn1.Tag, n int) []byte {
	dst = append(dst, byte(tag))
	if n < 0x80 {
		return append(dst, byte(n))
	}
	octets := lengthOctets(n)
	dst = append(dst, 0x80|byte(octets))
	for i := octets - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}

// Size returns the size of a whole element with n octets of content.
func Size(n int) int {
	if n < 0x80 {
		return 2 + n
	}
	return 2 + lengthOctets(n) + n
}

// lengthOctets returns how many octets the number n takes, n > 0.
func lengthOctets(n int) int {
	octets := 0
	for ; n > 0; n >>= 8 {
		octets++
	}
	return octets
}

// Append appends a whole element.
func Append(dst []byte, tag asn1.Tag, content []byte) []byte {
	return append(AppendHeader(dst, tag, len(content)), content...)
}

// Wrap makes dst[at:] the content of one element: it moves it to make room for
// the identifier and length octets. It is how nested structures are written
// without knowing their size beforehand:
//
//	at := len(dst)
//	dst = append(dst, content...)
//	dst = der.Wrap(dst, at, asn1.SEQUENCE)
func Wrap(dst []byte, at int, tag asn1.Tag) []byte {
	n := len(dst) - at
	var header [10]byte
	h := AppendHeader(header[:0], tag, n)
	dst = append(dst, h...)
	copy(dst[at+len(h):], dst[at:at+n])
	copy(dst[at:], h)
	return dst
}

// AppendUnsigned appends the INTEGER whose value is the big-endian number given.
// Leading zeros are left out.
func AppendUnsigned(dst, bigEndian []byte) []byte {
	for len(bigEndian) > 0 && bigEndian[0] == 0 {
		bigEndian = bigEndian[1:]
	}
	if len(bigEndian) == 0 || bigEndian[0] >= 0x80 {
		dst = AppendHeader(dst, asn1.INTEGER, len(bigEndian)+1)
		return append(append(dst, 0), bigEndian...)
	}
	return Append(dst, asn1.INTEGER, bigEndian)
}

// AppendInteger appends the INTEGER n.
func AppendInteger(dst []byte, n uint64) []byte {
	var b [8]byte
	for i := range b {
		b[i] = byte(n >> (56 - 8*i))
	}
	return AppendUnsigned(dst, b[:])
}

// AppendBitString appends a BIT STRING of whole octets.
func AppendBitString(dst, octets []byte) []byte {
	dst = AppendHeader(dst, asn1.BIT_STRING, len(octets)+1)
	return append(append(dst, 0), octets...)
}
