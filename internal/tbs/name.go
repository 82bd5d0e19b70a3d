package tbs

import (
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

// An Attribute is one relative distinguished name with a single value.
type Attribute struct {
	OID   string // dotted
	Type  StringType
	Value string // never empty in an encoded name
}

// A Name is a distinguished name (RFC 5280, 4.1.2.4) in order of encoding, one
// attribute an RDN. The zero Name is the empty name.
type Name []Attribute

// maxRDNs bounds the names that are read.
const maxRDNs = 64

// emptyName is the DER of the empty name.
const emptyName = "\x30\x00"

// Append appends the DER Name. It refuses, as a PolicyRefused error, a value that
// is empty, does not fit its string type, or breaks the type or upper bound that
// RFC 5280, appendix A.1 sets for its attribute.
func (n Name) Append(dst []byte) ([]byte, error) {
	start := len(dst)
	for _, a := range n {
		if err := a.check(); err != nil {
			return nil, err
		}
		rdn := len(dst)
		var err error
		if dst, err = der.AppendOID(dst, a.OID); err != nil {
			return nil, pki.Because(pki.PolicyRefused, err, "a subject attribute has no valid object identifier")
		}
		dst = der.AppendHeader(dst, stringTags[a.Type], len(a.Value))
		dst = append(dst, a.Value...)
		dst = der.Wrap(dst, rdn, asn1.SEQUENCE)
		dst = der.Wrap(dst, rdn, asn1.SET)
	}
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

// ParseName reads a DER Name of at most 64 RDNs. Malformed are RDNs with several
// values, string types other than the three of StringType, and values that are
// empty or do not fit their type. Upper bounds are not checked.
func ParseName(name []byte) (Name, error) {
	rdns, ok := der.ReadOnly(name, asn1.SEQUENCE)
	if !ok {
		return nil, pki.Errorf(pki.Malformed, "the name is not one DER sequence")
	}
	var n Name
	for !rdns.Empty() {
		var a Attribute
		var value cryptobyte.String
		if err := readRDN(&rdns, &a, &value); err != nil {
			return nil, err
		}
		if len(n) == maxRDNs {
			return nil, pki.Errorf(pki.Malformed, "the name has more than %d attributes", maxRDNs)
		}
		a.Value = string(value)
		n = append(n, a)
	}
	return n, nil
}

// checkName reports what ParseName would, without keeping anything.
func checkName(name []byte) error {
	rdns, ok := der.ReadOnly(name, asn1.SEQUENCE)
	if !ok {
		return pki.Errorf(pki.Malformed, "the name is not one DER sequence")
	}
	var a Attribute
	var value cryptobyte.String
	for n := 0; !rdns.Empty(); n++ {
		if n == maxRDNs {
			return pki.Errorf(pki.Malformed, "the name has more than %d attributes", maxRDNs)
		}
		if err := readRDN(&rdns, &a, &value); err != nil {
			return err
		}
	}
	return nil
}

// readRDN reads one RelativeDistinguishedName: a's OID and Type, and the value.
func readRDN(rdns *cryptobyte.String, a *Attribute, value *cryptobyte.String) error {
	var rdn, attribute cryptobyte.String
	var tag asn1.Tag
	if !rdns.ReadASN1(&rdn, asn1.SET) || !rdn.ReadASN1(&attribute, asn1.SEQUENCE) ||
		!der.ReadOID(&attribute, &a.OID) || !attribute.ReadAnyASN1(value, &tag) || !attribute.Empty() {
		return pki.Errorf(pki.Malformed, "the name holds an attribute that is not well-formed")
	}
	if !rdn.Empty() {
		return pki.Errorf(pki.Malformed, "the name has an RDN with several values; one value an RDN is supported")
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
	if len(*value) == 0 || !a.Type.allows(*value) {
		return pki.Errorf(pki.Malformed, "the name's attribute %s is empty or has characters outside its string type", a.OID)
	}
	return nil
}

// allows reports whether the octets are a value of the string type (X.680, 41).
func (t StringType) allows(octets []byte) bool {
	if t == UTF8String {
		return utf8.Valid(octets)
	}
	for _, b := range octets {
		if b >= utf8.RuneSelf || t == PrintableString && !isPrintable(b) {
			return false
		}
	}
	return true
}

// isPrintable reports whether b is a character of PrintableString.
func isPrintable(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', '\'' <= b && b <= ')', '+' <= b && b <= '/':
		return true
	}
	return b == ' ' || b == ':' || b == '=' || b == '?'
}
