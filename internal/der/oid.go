package der

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// AppendOID appends the OBJECT IDENTIFIER of a dotted name, as "2.5.29.17". Each
// arc after the second is below 2^31, since crypto/x509 reads no larger ones.
func AppendOID(dst []byte, dotted string) ([]byte, error) {
	if id, ok := encoded[dotted]; ok {
		return append(dst, id...), nil
	}
	return appendOID(dst, dotted)
}

// appendOID is AppendOID for identifiers that this package has no constant for.
func appendOID(dst []byte, dotted string) ([]byte, error) {
	if !strings.Contains(dotted, ".") {
		return nil, fmt.Errorf("object identifier %.80q: it has at least two arcs", dotted)
	}
	at := len(dst)
	var first uint64
	i := 0
	for arc := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil || len(arc) > 1 && arc[0] == '0' {
			return nil, fmt.Errorf("object identifier %.80q: %.20q is not an arc", dotted, arc)
		}
		switch {
		case i == 0:
			first = n
		case i == 1:
			if first > 2 || first < 2 && n >= 40 || 40*first+n > math.MaxInt32 {
				return nil, fmt.Errorf("object identifier %.80q: there are no such first arcs", dotted)
			}
			dst = appendArc(dst, 40*first+n)
		default:
			dst = appendArc(dst, n)
		}
		i++
	}
	return Wrap(dst, at, asn1.OBJECT_IDENTIFIER), nil
}

// appendArc appends n in base 128, most significant digit first.
func appendArc(dst []byte, n uint64) []byte {
	for shift := 28; shift > 0; shift -= 7 {
		if n>>shift != 0 {
			dst = append(dst, 0x80|byte(n>>shift))
		}
	}
	return append(dst, byte(n&0x7f))
}

// MustOID returns the OBJECT IDENTIFIER of a dotted name that is a constant of
// the program. It panics where that is none.
func MustOID(dotted string) []byte {
	b, err := AppendOID(nil, dotted)
	if err != nil {
		panic(err)
	}
	return b
}

// ReadOID reads an OBJECT IDENTIFIER as its dotted name. Those that this package
// has a constant for are returned without allocating.
func ReadOID(s *cryptobyte.String, dotted *string) bool {
	var content cryptobyte.String
	if !s.ReadASN1(&content, asn1.OBJECT_IDENTIFIER) || len(content) == 0 {
		return false
	}
	if name, ok := known[string(content)]; ok {
		*dotted = name
		return true
	}
	text := make([]byte, 0, 4*len(content))
	for first := true; !content.Empty(); first = false {
		arc, ok := readArc(&content)
		switch {
		case !ok:
			return false
		case first:
			root := min(arc/40, 2)
			text = strconv.AppendUint(text, root, 10)
			text = strconv.AppendUint(append(text, '.'), arc-40*root, 10)
		default:
			text = strconv.AppendUint(append(text, '.'), arc, 10)
		}
	}
	*dotted = string(text)
	return true
}

// readArc reads one number in base 128 that is minimally encoded and below 2^31.
func readArc(s *cryptobyte.String) (n uint64, ok bool) {
	for i := 0; ; i++ {
		var b byte
		if !s.ReadUint8(&b) || i == 0 && b == 0x80 {
			return 0, false
		}
		n = n<<7 | uint64(b&0x7f)
		if n > math.MaxInt32 {
			return 0, false
		}
		if b < 0x80 {
			return n, true
		}
	}
}
