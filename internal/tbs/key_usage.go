package tbs

import (
	"math/bits"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// A KeyUsage is a set of key usages: bit i is bit i of RFC 5280, 4.2.1.3.
type KeyUsage uint16

// The key usages.
const (
	DigitalSignature KeyUsage = 1 << iota
	ContentCommitment
	KeyEncipherment
	DataEncipherment
	KeyAgreement
	KeyCertSign
	CRLSign
	EncipherOnly
	DecipherOnly
)

// append appends the BIT STRING without trailing zero bits (X.690, 11.2.2).
func (u KeyUsage) append(dst []byte) []byte {
	length := bits.Len16(uint16(u))
	unused := byte(-length & 7)
	if length <= 8 {
		return append(dst, byte(asn1.BIT_STRING), 2, unused, bits.Reverse8(byte(u)))
	}
	return append(dst, byte(asn1.BIT_STRING), 3, unused, bits.Reverse8(byte(u)), bits.Reverse8(byte(u>>8)))
}

// parseKeyUsage reads the value of keyUsage (RFC 5280, 4.2.1.3): one or more of the
// nine bits, as append writes them.
func parseKeyUsage(value []byte) (u KeyUsage, ok bool) {
	content, ok := der.ReadOnly(value, asn1.BIT_STRING)
	if !ok || len(content) < 2 || len(content) > 3 {
		return 0, false
	}
	u = KeyUsage(bits.Reverse8(content[1]))
	if len(content) == 3 {
		u |= KeyUsage(bits.Reverse8(content[2])) << 8
	}
	var again [8]byte
	if u == 0 || u >= DecipherOnly<<1 || string(u.append(again[:0])) != string(value) {
		return 0, false
	}
	return u, true
}
