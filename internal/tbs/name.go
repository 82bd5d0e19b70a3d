package tbs

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A StringType is an ASN.1 string type of a name's values.
type StringType int

// The string types that RFC 5280, 4.1.2.4 and 4.1.2.6 let new names have.
const (
	UTF8String StringType = iota
	PrintableString
	IA5String
)

// stringTags are the tags of the string types.
var stringTags = [...]asn1.Tag{
	UTF8String:      asn1.UTF8String,
	PrintableString: asn1.PrintableString,
	IA5String:       asn1.IA5String,
}

// String returns the string type's name in profiles and dumps.
func (t StringType) String() string {
	return [...]string{UTF8String: "utf8", PrintableString: "printable", IA5String: "ia5"}[t]
}

// An Attribute is one type and value of a relative distinguished name.
type Attribute struct {
	OID    string // dotted
	Type   StringType
	Value  string // never empty in an encoded name
	Joined bool   // it stands in the RDN of the attribute before it
}

// A Name is a distinguished name (RFC 5280, 4.1.2.4) in order of encoding. An RDN
// is one attribute with the joined ones that follow it; DER puts these in an order
// of its own (X.690, 11.6), which is the one that ParseName returns. The zero Name
// is the empty name.
type Name []Attribute

// maxRDNs bounds the attributes of the names that are read.
const maxRDNs = 64

// emptyName is the DER of the empty name.
const emptyName = "\x30\x00"

// Append appends the DER Name. It refuses, as a PolicyRefused error, a value that
// is empty, does not fit its string type, or breaks the type or upper bound that
// RFC 5280, appendix A.1 sets for its attribute, and an RDN with two values of one
// type.
func (n Name) Append(dst []byte) ([]byte, error) {
	start := len(dst)
	for len(n) > 0 {
		size := 1
		for size < len(n) && n[size].Joined {
			size++
		}
		var err error
		if dst, err = appendRDN(dst, n[:size]); err != nil {
			return nil, err
		}
		n = n[size:]
	}
	return der.Wrap(dst, start, asn1.SEQUENCE), nil
}

// appendRDN appends a RelativeDistinguishedName of one or more attributes.
func appendRDN(dst []byte, rdn []Attribute) ([]byte, error) {
	start := len(dst)
	var err error
	if len(rdn) == 1 {
		if dst, err = rdn[0].append(dst); err != nil {
			return nil, err
		}
		return der.Wrap(dst, start, asn1.SET), nil
	}
	encoded := make([][]byte, len(rdn))
	for i := range rdn {
		if encoded[i], err = rdn[i].append(nil); err != nil {
			return nil, err
		}
		twice := func(a Attribute) bool { return a.OID == rdn[i].OID }
		if slices.ContainsFunc(rdn[:i], twice) { // X.501, 9.3
			return nil, pki.Errorf(pki.PolicyRefused, "subject attribute %s stands twice in one RDN", attributeName(rdn[i].OID))
		}
	}
	slices.SortFunc(encoded, bytes.Compare) // shorter ones differ from longer ones in their length octet
	for _, e := range encoded {
		dst = append(dst, e...)
	}
	return der.Wrap(dst, start, asn1.SET), nil
}

// append appends the AttributeTypeAndValue.
func (a Attribute) append(dst []byte) ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	start := len(dst)
	dst, err := der.AppendOID(dst, a.OID)
	if err != nil {
		return nil, pki.Because(pki.PolicyRefused, err, "a subject attribute has no valid object identifier")
	}
	dst = der.AppendHeader(dst, stringTags[a.Type], len(a.Value))
	dst = append(dst, a.Value...)
	return der.Wrap(dst, start, asn1.SEQUENCE), nil
}

// Get returns the first value of the attribute with the given dotted identifier,
// or "".
func (n Name) Get(oid string) string {
	for _, a := range n {
		if a.OID == oid {
			return a.Value
		}
	}
	return ""
}

// ParseName reads a DER Name of at most 64 attributes. Malformed are RDNs with
// values in another order than DER's or with two of one type, string types other
// than the three of StringType, and values that are empty or do not fit their type.
// Upper bounds are not checked.
func ParseName(name []byte) (Name, error) {
	var n Name
	err := readName(name, func(a Attribute, value []byte) {
		if n == nil {
			n = make(Name, 0, 4) // as many as a device's name has, so that it does not grow
		}
		a.Value = string(value)
		n = append(n, a)
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

// checkName reports what ParseName would, without keeping anything.
func checkName(name []byte) error {
	return readName(name, func(Attribute, []byte) {})
}

// readName calls each with every attribute, without its value, and the value.
func readName(name []byte, each func(Attribute, []byte)) error {
	rdns, ok := der.ReadOnly(name, asn1.SEQUENCE)
	if !ok {
		return pki.Errorf(pki.Malformed, "the name is not one DER sequence")
	}
	for n := 0; !rdns.Empty(); {
		var rdn cryptobyte.String
		if !rdns.ReadASN1(&rdn, asn1.SET) || rdn.Empty() {
			return pki.Errorf(pki.Malformed, "the name holds an RDN that is not a set of at least one attribute")
		}
		var before []byte
		for joined := false; !rdn.Empty(); joined = true {
			if n++; n > maxRDNs {
				return pki.Errorf(pki.Malformed, "the name has more than %d attributes", maxRDNs)
			}
			var element, value cryptobyte.String
			if !rdn.ReadASN1Element(&element, asn1.SEQUENCE) || bytes.Compare(before, element) >= 0 {
				return pki.Errorf(pki.Malformed, "the name holds an RDN whose attributes are not well-formed or not in the order of DER")
			}
			a := Attribute{Joined: joined}
			if err := readAttribute(element, &a, &value); err != nil {
				return err
			}
			if joined && sameType(before, element) {
				return pki.Errorf(pki.Malformed, "the name has the attribute %s twice in one RDN", a.OID)
			}
			before = element
			each(a, value)
		}
	}
	return nil
}

// sameType reports whether two well-formed AttributeTypeAndValue are of one type.
func sameType(a, b []byte) bool {
	var types [2]string
	for i, element := range [...][]byte{a, b} {
		s, _ := der.ReadOnly(element, asn1.SEQUENCE)
		der.ReadOID(&s, &types[i])
	}
	return types[0] == types[1]
}

// readAttribute reads one AttributeTypeAndValue: a's OID and Type, and the value.
func readAttribute(element cryptobyte.String, a *Attribute, value *cryptobyte.String) error {
	attribute, _ := der.ReadOnly(element, asn1.SEQUENCE)
	var tag asn1.Tag
	if !der.ReadOID(&attribute, &a.OID) || !attribute.ReadAnyASN1(value, &tag) || !attribute.Empty() {
		return pki.Errorf(pki.Malformed, "the name holds an attribute that is not well-formed")
	}
	switch tag {
	case asn1.UTF8String:
		a.Type = UTF8String
	case asn1.PrintableString:
		a.Type = PrintableString
	case asn1.IA5String:
		a.Type = IA5String
	default:
		return pki.Errorf(pki.Malformed, "the name's attribute %s is none of UTF8String, PrintableString, IA5String", a.OID)
	}
	if why := a.Type.refuses(*value); why != "" {
		return pki.Errorf(pki.Malformed, "the name's attribute %s %s", a.OID, why)
	}
	return nil
}

// Allows reports whether the octets are a value of the string type (X.680, 41).
func (t StringType) Allows(octets []byte) bool {
	if t == UTF8String {
		return utf8.Valid(octets)
	}
	return !slices.ContainsFunc(octets, t.leavesOut)
}

// leavesOut reports whether b is no character of the string type, which is not
// UTF8String.
func (t StringType) leavesOut(b byte) bool {
	return b >= utf8.RuneSelf || t == PrintableString && !isPrintable(b)
}

// refuses says why the octets are no value of an attribute with the string type, in
// words that follow what has it: that they are none, or the first character that it does
// not have. "" where they are a value.
func (t StringType) refuses(octets []byte) string {
	switch {
	case len(octets) == 0:
		return "is empty"
	case t.Allows(octets):
		return ""
	case t == UTF8String:
		return "is not UTF-8"
	}
	r, _ := utf8.DecodeRune(octets[slices.IndexFunc(octets, t.leavesOut):])
	if t == IA5String {
		return fmt.Sprintf("has the character %+q, which is outside its string type, IA5String: that is ASCII", r)
	}
	return fmt.Sprintf("has the character %+q, which is outside its string type, PrintableString: that has A-Z, a-z, 0-9, space and ' ( ) + , - . / : = ?", r)
}

// isPrintable reports whether b is a character of PrintableString.
func isPrintable(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', '\'' <= b && b <= ')', '+' <= b && b <= '/':
		return true
	}
	return b == ' ' || b == ':' || b == '=' || b == '?'
}
