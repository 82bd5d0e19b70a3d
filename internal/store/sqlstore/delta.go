package sqlstore

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// maxDelta is the longest DER that is kept as a delta, and the longest reference:
// positions in a reference are 16 bits.
const maxDelta = 1<<16 - 1

// A reference is an immutable certificate against which others of its issuer and
// profile are kept: they differ in serial, dates, subject, key and signature.
type reference struct {
	num     int64
	issuer  int64
	profile int64
	der     []byte
	at      [1 << 10]uint16 // by hash of the eight bytes there: a position in der
}

func newReference(num, issuer, profile int64, der []byte) *reference {
	r := &reference{num: num, issuer: issuer, profile: profile, der: der}
	for i := 0; i+window <= len(der); i++ {
		r.at[hashWindow(der[i:])] = uint16(i)
	}
	return r
}

const (
	window = 8 // bytes that must be equal where a copy begins elsewhere than expected
	minRun = 4 // bytes that must be equal where it begins as expected
)

func hashWindow(b []byte) uint64 { return hashOf(binary.LittleEndian.Uint64(b)) }

func hashOf(window uint64) uint64 { return window * 0x9E3779B97F4A7C15 >> 54 }

// firstRun returns at which byte of two windows, of which this is the difference, the
// first run of minRun equal ones begins, window where none does.
func firstRun(differ uint64) int {
	const low, high = 0x7f7f7f7f7f7f7f7f, 0x8080808080808080
	equal := ^(differ&low + low | differ) & high // of each byte that is 0 the highest bit
	equal &= equal >> 8                          // and the next is
	equal &= equal >> 16                         // and the two after these
	return bits.TrailingZeros64(equal) / 8
}

// appendDelta appends to dst what makes target from r:
//
//	uvarint length of target, then until that is reached
//	uvarint n, n bytes of target, and where more is to come
//	uvarint m >= 1, varint d: m bytes of r, beginning d bytes after where they
//	are expected, which is where the last copy ended plus n
//
// target is at most maxDelta bytes.
func (r *reference) appendDelta(dst, target []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(target)))
	literal, expected := 0, 0 // target[literal:i] waits to be written
	for i := 0; i < len(target); {
		at, n, step := expected, 0, 1
		if i+window > len(target) {
			n = run(r.der, expected, target[i:])
		} else {
			next := binary.LittleEndian.Uint64(target[i:])
			step = minRun // of these places none that is passed over begins a run
			j := window
			if expected+window <= len(r.der) {
				j = firstRun(next ^ binary.LittleEndian.Uint64(r.der[expected:]))
			}
			if j < window {
				i, expected = i+j, expected+j
				at, n = expected, run(r.der, expected, target[i:])
			} else if p := int(r.at[hashOf(next)]); p+window <= len(r.der) && binary.LittleEndian.Uint64(r.der[p:]) == next {
				for i > literal && p > 0 && target[i-1] == r.der[p-1] { // it began in a place that was passed over
					i, expected, p = i-1, expected-1, p-1
				}
				at, n = p, run(r.der, p, target[i:])
			}
		}
		if n < minRun {
			i += step
			expected += step
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(i-literal))
		dst = append(dst, target[literal:i]...)
		dst = binary.AppendUvarint(dst, uint64(n))
		dst = binary.AppendVarint(dst, int64(at-expected))
		i += n
		expected, literal = at+n, i
	}
	if literal < len(target) {
		dst = binary.AppendUvarint(dst, uint64(len(target)-literal))
		dst = append(dst, target[literal:]...)
	}
	return dst
}

// run returns how many bytes of b equal those of der from at on.
func run(der []byte, at int, b []byte) int {
	if at >= len(der) {
		return 0
	}
	der = der[at:]
	n := 0
	for ; n+8 <= len(der) && n+8 <= len(b); n += 8 {
		if differ := binary.LittleEndian.Uint64(der[n:]) ^ binary.LittleEndian.Uint64(b[n:]); differ != 0 {
			return n + bits.TrailingZeros64(differ)/8
		}
	}
	for n < len(der) && n < len(b) && der[n] == b[n] {
		n++
	}
	return n
}

var errDelta = errors.New("a delta is damaged")

// apply returns what appendDelta was given. It reads and makes no more than
// maxDelta bytes whatever delta holds.
func (r *reference) apply(delta []byte) ([]byte, error) {
	d := deltaReader{rest: delta}
	length := d.uvarint(maxDelta)
	out := make([]byte, 0, length)
	expected := int64(0)
	for !d.bad && len(out) < length {
		literal := d.bytes(d.uvarint(length - len(out)))
		out = append(out, literal...)
		expected += int64(len(literal))
		if len(out) == length {
			break
		}
		n := d.uvarint(length - len(out))
		shift := d.varint()
		if shift < -expected || shift > int64(len(r.der))-expected-int64(n) || n == 0 {
			return nil, errDelta
		}
		at := expected + shift
		out = append(out, r.der[at:at+int64(n)]...)
		expected = at + int64(n)
	}
	if d.bad || len(d.rest) != 0 {
		return nil, errDelta
	}
	return out, nil
}

// A deltaReader reads the parts of a delta; bad is set by the first that is not
// there.
type deltaReader struct {
	rest []byte
	bad  bool
}

// uvarint reads a number of at most most.
func (d *deltaReader) uvarint(most int) int {
	v, n := binary.Uvarint(d.rest)
	if d.bad || n <= 0 || v > uint64(most) {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return int(v)
}

func (d *deltaReader) varint() int64 {
	v, n := binary.Varint(d.rest)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *deltaReader) bytes(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}
