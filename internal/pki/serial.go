package pki

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// A Serial is a certificate serial number: a positive integer of at most 20
// octets, big-endian, padded with zeros on the left (RFC 5280, 4.1.2.2).
type Serial [20]byte

// A SerialClass is the first octet of the serials that pando makes. Serials of
// one class grow with time, so that tables can be partitioned by them.
type SerialClass byte

// The serial classes.
const (
	SerialShort   SerialClass = 0x41 // validity up to 13 months
	SerialLong    SerialClass = 0x42 // longer
	SerialForever SerialClass = 0x43 // no expiry
	SerialRandom  SerialClass = 0x44 // wholly random, where an authority asks for it
)

// NewSerial returns a serial of 20 octets: the class, 48 bits of milliseconds
// and 104 random bits; for SerialRandom, 152 random bits.
func NewSerial(class SerialClass, now time.Time) Serial {
	var s Serial
	rand.Read(s[1:])
	s[0] = byte(class)
	if class != SerialRandom {
		ms := uint64(now.UnixMilli())
		for i := range 6 {
			s[1+i] = byte(ms >> (40 - 8*i))
		}
	}
	return s
}

// ClassOf returns the class of a serial for a certificate valid in the given
// window. A notAfter in the year 9999 is "no expiry" (RFC 5280, 4.1.2.5).
func ClassOf(notBefore, notAfter time.Time) SerialClass {
	switch {
	case notAfter.Year() >= 9999:
		return SerialForever
	case notAfter.After(notBefore.AddDate(0, 13, 0)):
		return SerialLong
	default:
		return SerialShort
	}
}

// Shard returns which of n CRL shards a certificate with this serial belongs to,
// 0 <= shard < n. It follows from random bits alone and holds for life.
func (s Serial) Shard(n int) int {
	if n <= 1 {
		return 0
	}
	v := uint64(s[16])<<24 | uint64(s[17])<<16 | uint64(s[18])<<8 | uint64(s[19])
	return int(v % uint64(n))
}

// Bytes returns the serial's octets without leading zeros.
func (s Serial) Bytes() []byte {
	for i := range s {
		if s[i] != 0 {
			return s[i:]
		}
	}
	return s[19:]
}

// String returns the serial in lower-case hexadecimal, two digits an octet,
// without leading zero octets.
func (s Serial) String() string { return hex.EncodeToString(s.Bytes()) }

// ParseSerial reads a serial in hexadecimal, upper or lower case, also with 0x
// before it or with a colon between octets, as other programs print it.
func ParseSerial(text string) (Serial, error) {
	digits := text
	if rest, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		digits = rest
	} else if len(text) > 2 && len(text)%3 == 2 && text[2] == ':' {
		octets := strings.Split(text, ":")
		if !slices.ContainsFunc(octets, func(o string) bool { return len(o) != 2 }) {
			digits = strings.Join(octets, "")
		}
	}
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return Serial{}, Errorf(Malformed, "serial %.50q: it is written in hexadecimal digits", text)
	}
	return SerialFromBytes(b)
}

// SerialFromBytes reads a serial from the content octets of a positive DER
// INTEGER.
func SerialFromBytes(b []byte) (Serial, error) {
	var s Serial
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > len(s) {
		return s, Errorf(Malformed, "a serial is a positive integer of at most 20 octets")
	}
	copy(s[len(s)-len(b):], b)
	return s, nil
}
