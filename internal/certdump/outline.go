package certdump

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// maxDepth and maxElements bound an outline; what is deeper or more is printed in
// hexadecimal.
const (
	maxDepth    = 16
	maxElements = 500
)

// typeNames are the universal types that an outline names.
var typeNames = map[asn1.Tag]string{
	asn1.BOOLEAN: "BOOLEAN", asn1.INTEGER: "INTEGER", asn1.BIT_STRING: "BIT STRING", asn1.OCTET_STRING: "OCTET STRING", asn1.NULL: "NULL",
	asn1.OBJECT_IDENTIFIER: "OID", asn1.ENUM: "ENUMERATED", asn1.UTF8String: "UTF8", asn1.PrintableString: "Printable", asn1.IA5String: "IA5",
	asn1.T61String: "T61", asn1.UTCTime: "UTCTime", asn1.GeneralizedTime: "GeneralizedTime", asn1.GeneralString: "General",
	asn1.SEQUENCE: "SEQUENCE", asn1.SET: "SET", 30: "BMP",
}

// Outline prints the elements of DER in one line, as
// "SEQUENCE{OID 1.2.3, INTEGER 5}". What is not DER is printed in hexadecimal. Two
// encodings never have the same outline, so that whoever compares outlines misses nothing.
func Outline(elements []byte) string {
	left := maxElements
	text, ok := outline(elements, 1, &left)
	if !ok {
		return fmt.Sprintf("%x", elements)
	}
	return text
}

// TypeName returns the name that an outline gives to a type: where it has no other, its
// class and number in brackets, as ASN.1 writes them (X.680, 31.2).
func TypeName(tag asn1.Tag) string {
	if name, known := typeNames[tag]; known {
		return name
	}
	class := [...]string{"UNIVERSAL ", "APPLICATION ", "", "PRIVATE "}[tag>>6]
	return fmt.Sprintf("[%s%d]", class, tag&0x1f)
}

func outline(elements cryptobyte.String, depth int, left *int) (string, bool) {
	if depth > maxDepth {
		return "", false
	}
	var all []string
	for !elements.Empty() {
		if *left--; *left < 0 {
			return "", false
		}
		var content cryptobyte.String
		var tag asn1.Tag
		if !elements.ReadAnyASN1(&content, &tag) {
			return "", false
		}
		text, ok := element(content, tag, depth, left)
		if !ok {
			return "", false
		}
		all = append(all, text)
	}
	return strings.Join(all, ", "), true
}

func element(content cryptobyte.String, tag asn1.Tag, depth int, left *int) (string, bool) {
	name := TypeName(tag)
	if tag&0x20 != 0 { // constructed
		inner, ok := outline(content, depth+1, left)
		return name + "{" + inner + "}", ok
	}
	switch tag {
	case asn1.NULL:
		return name, len(content) == 0
	case asn1.BOOLEAN:
		switch string(content) {
		case "\x00":
			return name + " false", true
		case "\xff":
			return name + " true", true
		}
		return fmt.Sprintf("%s 0x%x", name, content), true
	case asn1.OBJECT_IDENTIFIER:
		whole := cryptobyte.String(der.Append(nil, tag, content))
		var oid string
		ok := der.ReadOID(&whole, &oid)
		return name + " " + oid, ok
	case asn1.INTEGER, asn1.ENUM:
		if len(content) > 0 && len(content) <= 8 && isMinimal(content) {
			n := int64(int8(content[0]))
			for _, b := range content[1:] {
				n = n<<8 | int64(b)
			}
			return fmt.Sprintf("%s %d", name, n), true
		}
		return fmt.Sprintf("%s 0x%x", name, content), true
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String, asn1.UTCTime, asn1.GeneralizedTime:
		return fmt.Sprintf("%s %q", name, string(content)), true
	case 30:
		var text []rune
		for i := 0; i+1 < len(content); i += 2 {
			text = append(text, rune(content[i])<<8|rune(content[i+1]))
		}
		if len(content)%2 != 0 || slices.ContainsFunc(text, utf16.IsSurrogate) { // no characters
			return fmt.Sprintf("%s 0x%x", name, content), true
		}
		return fmt.Sprintf("%s %q", name, string(text)), true
	}
	return name + " " + octets(content), true
}

// isMinimal reports whether the content of an INTEGER has no octet too many (X.690,
// 8.3.2).
func isMinimal(content []byte) bool {
	return len(content) < 2 || !(content[0] == 0 && content[1] < 0x80 || content[0] == 0xff && content[1] >= 0x80)
}

// octets prints octets as the text that they are, or in hexadecimal.
func octets(content []byte) string {
	if utf8.Valid(content) && len(content) > 0 && !strings.ContainsFunc(string(content), func(r rune) bool { return !unicode.IsPrint(r) || r > 0x7e }) {
		return fmt.Sprintf("%q", content)
	}
	return fmt.Sprintf("%x", content)
}
