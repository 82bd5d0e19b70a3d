package cms

import (
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// constructed is the bit of an identifier octet that says so (X.690, 8.1.2.5).
const constructed = 0x20

// toDER returns message, which is one element of BER, with definite and shortest
// lengths and with constructed OCTET STRINGs joined, which is all of BER that
// encoders of CMS make use of (RFC 5652, 5.2: streams). A message that has this form
// is returned as it is. It takes time and memory in proportion to the message's
// size: each octet is copied once, and moved where the length before it turns out
// shorter or longer than it was guessed.
//
// An OCTET STRING with an implicit tag is not to be told from a set: joinOctets
// reads it. Bit strings and texts in pieces, and tags above 30, are not well-formed
// to this package.
func toDER(message []byte) ([]byte, bool) {
	check := converter{plain: true}
	if n, ok := check.element(message, maxDepth, false); !ok || n != len(message) {
		return nil, false
	}
	if check.plain {
		return message, true
	}
	c := converter{write: true, out: make([]byte, 0, len(message)+growth(len(message)))}
	_, ok := c.element(message, maxDepth, false)
	return c.out, ok
}

// growth bounds how much longer than a message of n octets its DER is, on the way: by the
// headers down to where it is, whose lengths are guesses, and by those that have an octet
// or two more than an indefinite length with its end, of contents above 64 KiB each.
func growth(n int) int { return 4*maxDepth + n>>10 }

// A converter reads BER and, where it writes, appends DER to out.
type converter struct {
	write bool
	out   []byte
	plain bool // nothing that was read needs a change
}

// element reads the element at the beginning of in, of which it returns the length.
// A piece of a string is an OCTET STRING whose content alone is written.
func (c *converter) element(in []byte, depth int, piece bool) (n int, ok bool) {
	h, ok := readHeader(in)
	if !ok || depth == 0 || h.tag == 0 || piece && h.tag&^constructed != byte(asn1.OCTET_STRING) {
		return 0, false
	}
	joined := h.tag == byte(asn1.OCTET_STRING)|constructed
	if joined || !h.shortest {
		c.plain = false
	}
	if h.tag&constructed == 0 {
		n = h.size + h.length
		if c.write && !piece {
			c.out = der.AppendHeader(c.out, asn1.Tag(h.tag), h.length)
		}
		if c.write {
			c.out = append(c.out, in[h.size:n]...)
		}
		return n, true
	}
	if joined {
		h.tag = byte(asn1.OCTET_STRING)
	}
	at := len(c.out)
	guess := h.length
	if guess < 0 {
		guess = len(in) - h.size
	}
	if c.write && !piece {
		c.out = der.AppendHeader(c.out, asn1.Tag(h.tag), guess)
	}
	start := len(c.out)
	n, ok = c.children(in, h, depth-1, joined)
	if ok && c.write && !piece {
		c.setLength(at, start, h.tag)
	}
	return n, ok
}

// children reads the elements of a constructed one, and the end-of-contents octets
// of one with indefinite length. It returns the length of the whole.
func (c *converter) children(in []byte, h header, depth int, pieces bool) (n int, ok bool) {
	end := len(in)
	if h.length >= 0 {
		end = h.size + h.length
	}
	for n = h.size; ; {
		if h.length >= 0 && n == end {
			return n, true
		}
		if h.length < 0 && n+2 <= end && in[n] == 0 && in[n+1] == 0 {
			return n + 2, true
		}
		size, ok := c.element(in[n:end], depth, pieces)
		if !ok {
			return 0, false
		}
		n += size
	}
}

// setLength puts the right header, at at, before the content that begins at start.
func (c *converter) setLength(at, start int, tag byte) {
	n := len(c.out) - start
	var buf [10]byte
	h := der.AppendHeader(buf[:0], asn1.Tag(tag), n)
	switch grown := at + len(h) - start; {
	case grown > 0:
		c.out = append(c.out, buf[:grown]...)
		copy(c.out[at+len(h):], c.out[start:start+n])
	case grown < 0:
		copy(c.out[at+len(h):], c.out[start:])
		c.out = c.out[:len(c.out)+grown]
	}
	copy(c.out[at:], h)
}

// A header is the identifier and length octets of an element.
type header struct {
	tag      byte
	size     int  // of the header
	length   int  // of the content, which is there; -1 where indefinite
	shortest bool // in the form of DER
}

// readHeader reads the header of an element whose content, where its length is
// definite, is in in (X.690, 8.1).
func readHeader(in []byte) (h header, ok bool) {
	if len(in) < 2 || in[0]&0x1f == 0x1f {
		return h, false
	}
	h = header{tag: in[0], size: 2, length: int(in[1]), shortest: true}
	switch {
	case in[1] == 0x80:
		h.length, h.shortest = -1, false
		return h, h.tag&constructed != 0
	case in[1] > 0x80:
		octets := int(in[1] & 0x7f)
		h.size += octets
		if octets > 8 || h.size > len(in) {
			return h, false
		}
		h.length = 0
		for _, b := range in[2:h.size] {
			if h.length > maxSize {
				return h, false
			}
			h.length = h.length<<8 | int(b)
		}
		h.shortest = in[2] != 0 && h.length >= 0x80
	}
	return h, h.length <= len(in)-h.size
}
