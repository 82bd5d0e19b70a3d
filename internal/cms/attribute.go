package cms

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// An Attribute is one value of an attribute (RFC 5652, 5.3).
type Attribute struct {
	OID   string // dotted
	Value []byte // one DER element
}

// Attributes are those of a signer that the signature covers, in the order in which
// they came. An attribute with several values is several of them.
type Attributes []Attribute

// Get returns the value of an attribute that is there exactly once, with one value;
// otherwise nil.
func (a Attributes) Get(oid string) []byte {
	var value []byte
	for i := range a {
		if a[i].OID != oid {
			continue
		}
		if value != nil {
			return nil
		}
		value = a[i].Value
	}
	return value
}

// readAttributes reads the content of a SET OF Attribute.
func readAttributes(set cryptobyte.String) (Attributes, bool) {
	var all Attributes
	for !set.Empty() {
		var attribute, values cryptobyte.String
		var oid string
		if !set.ReadASN1(&attribute, asn1.SEQUENCE) || !der.ReadOID(&attribute, &oid) ||
			!attribute.ReadASN1(&values, asn1.SET) || !attribute.Empty() || values.Empty() {
			return nil, false
		}
		for !values.Empty() {
			var value cryptobyte.String
			var tag asn1.Tag
			if len(all) == maxAttributes || !values.ReadAnyASN1Element(&value, &tag) {
				return nil, false
			}
			all = append(all, Attribute{OID: oid, Value: value})
		}
	}
	return all, true
}

// attributeSet returns the content of the DER SET OF Attribute, each with one value.
func attributeSet(attributes []Attribute) ([]byte, error) {
	elements := make([][]byte, len(attributes))
	for i, a := range attributes {
		value := cryptobyte.String(a.Value)
		var element cryptobyte.String
		var tag asn1.Tag
		if !value.ReadAnyASN1Element(&element, &tag) || !value.Empty() {
			return nil, fmt.Errorf("the value of the attribute %s is not one DER element", a.OID)
		}
		if slices.ContainsFunc(attributes[:i], func(b Attribute) bool { return a.OID == b.OID }) {
			return nil, fmt.Errorf("the attribute %s is there twice", a.OID)
		}
		b, err := der.AppendOID(nil, a.OID)
		if err != nil {
			return nil, err
		}
		b = der.Append(b, asn1.SET, a.Value)
		elements[i] = der.Wrap(b, 0, asn1.SEQUENCE)
	}
	return joinSorted(elements), nil
}

// joinSorted returns the content of a SET OF the elements, in the order of DER
// (X.690, 11.6): where there is one, itself. It leaves elements as they are.
func joinSorted(elements [][]byte) []byte {
	if len(elements) == 1 {
		return elements[0]
	}
	return bytes.Join(slices.SortedFunc(slices.Values(elements), bytes.Compare), nil)
}
