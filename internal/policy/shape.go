package policy

import (
	"bytes"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/tbs"
)

// Contents of one Bound differ in the key, the validity, the serial number, the
// subject, the names and the values of extensions. A shape is what a rule could
// tell apart in those, other than the text itself: the kind of key, the form of the
// times, and of the rest the structure, the OIDs and for each text the class of its
// length and of its characters. docs/adr/0030 says what that can miss.

// maxShapes is how many shapes a Bound remembers before it forgets all.
const maxShapes = 1000

// maxShapeDepth bounds how deep the structure of a value is followed.
const maxShapeDepth = 16

// appendShape appends the shape of c. Where whole is false, c has something of
// which another with the same shape says nothing.
func appendShape(dst []byte, c *tbs.Content) (shape []byte, whole bool) {
	dst = append(dst, c.Key.Kind()...)
	dst = append(dst, 0, timeForm(c.NotBefore.Year()), timeForm(c.NotAfter.Year()))
	whole = true
	for _, encoded := range [...][]byte{c.Subject, c.SAN} {
		dst = appendStructure(dst, encoded, 0, &whole)
		dst = append(dst, 0)
	}
	for _, value := range c.Values {
		dst = appendStructure(dst, value, 0, &whole)
		dst = append(dst, 0)
	}
	return dst, whole
}

// timeForm tells UTCTime from GeneralizedTime (RFC 5280, 4.1.2.5), and no expiry.
func timeForm(year int) byte {
	switch {
	case year < 2050:
		return 'u'
	case year < 9999:
		return 'g'
	}
	return 'n'
}

// appendStructure appends the shape of DER. Of elements of one shape in a row it
// has two at most: no rule tells two from three.
func appendStructure(dst []byte, encoded cryptobyte.String, depth int, whole *bool) []byte {
	last, run := len(dst), 0 // where the element before begins, and how many there were like it
	for !encoded.Empty() {
		var content cryptobyte.String
		var tag asn1.Tag
		if depth == maxShapeDepth || !encoded.ReadAnyASN1(&content, &tag) {
			*whole = false
			return dst
		}
		at := len(dst)
		dst = append(dst, byte(tag))
		switch {
		case tag&0x20 != 0: // constructed
			dst = appendStructure(dst, content, depth+1, whole)
			dst = append(dst, 0)
		case tag == asn1.OBJECT_IDENTIFIER:
			dst = append(dst, byte(len(content)))
			dst = append(dst, content...)
		default:
			dst = append(dst, lengthClass(len(content)), charactersIn(content))
			*whole = *whole && !isReadAsText(tag, content)
		}
		switch {
		case !bytes.Equal(dst[last:at], dst[at:]):
			last, run = at, 0
		case run > 0:
			dst = dst[:at]
		default:
			last, run = at, run+1
		}
	}
	return dst
}

// uriTag is that of a uniformResourceIdentifier among GeneralNames.
const uriTag asn1.Tag = 0x86

// isReadAsText reports whether there is a rule of zlint's that tells the text from
// another of its classes: of an internationalised name what it decodes to (RFC 5891),
// of a URI its host, unless it is a URN and has none, and of a name an HTML entity, a
// control character of Latin-1 or a letter that two of UTF-8 were mistaken for.
func isReadAsText(tag asn1.Tag, text []byte) bool {
	if bytes.Contains(text, []byte("xn--")) || tag == uriTag && (!bytes.HasPrefix(text, []byte("urn:")) || bytes.HasPrefix(text, []byte("urn:/"))) {
		return true
	}
	if amp := bytes.IndexByte(text, '&'); amp >= 0 && bytes.IndexByte(text[amp:], ';') > 0 {
		return true
	}
	for i, c := range text[:max(len(text)-1, 0)] {
		if next := text[i+1]; c == 0xc3 && next == 0x83 || c == 0xc2 && next < 0xa0 { // Ã; U+0080 to U+009F
			return true
		}
	}
	return false
}

// lengthClass tells apart the lengths around the bounds that RFC 5280 and DNS have.
func lengthClass(n int) byte {
	switch {
	case n == 0:
		return '0'
	case n <= 64:
		return 's'
	case n <= 253:
		return 'm'
	}
	return 'l'
}

// Classes of octets in a text. charactersIn returns those that one has, so that it
// is another shape as soon as one comes in.
const (
	plainOctet   = 1 << iota // a-z, 0-9
	upperOctet               // A-Z
	printedOctet             // what else a PrintableString has
	asciiOctet               // what else of ASCII is printed
	controlOctet
	highOctet
)

var octetClasses = func() (classes [256]byte) {
	for c := range classes {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			classes[c] = plainOctet
		case 'A' <= c && c <= 'Z':
			classes[c] = upperOctet
		case c < 0x80 && tbs.PrintableString.Allows([]byte{byte(c)}):
			classes[c] = printedOctet
		case ' ' < c && c < 0x7f:
			classes[c] = asciiOctet
		case c < 0x80:
			classes[c] = controlOctet
		default:
			classes[c] = highOctet
		}
	}
	return classes
}()

func charactersIn(text []byte) (classes byte) {
	for _, c := range text {
		classes |= octetClasses[c]
	}
	if len(text) > 0 && (text[0] == ' ' || text[len(text)-1] == ' ') {
		classes |= 1 << 7
	}
	return classes
}

// A passed holds the shapes of a Bound that zlint had nothing against. Its zero
// value is empty.
type passed struct {
	mu     sync.RWMutex
	shapes map[string]struct{}
}

func (p *passed) has(shape []byte) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.shapes[string(shape)]
	return ok
}

func (p *passed) add(shape []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shapes == nil || len(p.shapes) == maxShapes {
		p.shapes = make(map[string]struct{})
	}
	p.shapes[string(shape)] = struct{}{}
}
