package tbs

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// eachAttribute calls f with each attribute of a request that is parsed: its type, the
// content of its set of values, and the whole of it.
func (c *CSR) eachAttribute(f func(oid string, values, whole cryptobyte.String)) {
	info, _ := der.ReadOnly(c.TBS, asn1.SEQUENCE)
	var attributes cryptobyte.String
	if !info.SkipASN1(asn1.INTEGER) || !info.SkipASN1(asn1.SEQUENCE) || !info.SkipASN1(asn1.SEQUENCE) ||
		!info.ReadASN1(&attributes, der.Explicit(0)) {
		return // cannot be: it is parsed
	}
	for !attributes.Empty() {
		var whole, attribute, values cryptobyte.String
		var oid string
		if !attributes.ReadASN1Element(&whole, asn1.SEQUENCE) {
			return
		}
		attribute, _ = der.ReadOnly(whole, asn1.SEQUENCE)
		if !der.ReadOID(&attribute, &oid) || !attribute.ReadASN1(&values, asn1.SET) {
			return
		}
		f(oid, values, whole)
	}
}

// Attribute returns the value of an attribute that has one (RFC 2986, 4.1), as one
// element of DER; nil where the request has no such attribute. One that is there twice,
// or has no value or several, is Malformed.
func (c *CSR) Attribute(oid string) (value []byte, err error) {
	c.eachAttribute(func(is string, values, _ cryptobyte.String) {
		var element cryptobyte.String
		var tag asn1.Tag
		switch {
		case is != oid:
		case value != nil || !values.ReadAnyASN1Element(&element, &tag) || !values.Empty():
			err = pki.Errorf(pki.Malformed, "the request's attribute %s is there once, with one value", oid)
		default:
			value = element
		}
	})
	return value, err
}

// AppendRekeyed appends the CertificationRequestInfo of a request that asks for the same
// for another key: with its subject and its attributes, but those that are left out.
func (c *CSR) AppendRekeyed(dst []byte, key PublicKey, without ...string) []byte {
	start := len(dst)
	dst = der.AppendInteger(dst, 0)
	dst = append(dst, c.SubjectDER...)
	dst = append(dst, key.SPKI()...)
	attributes := len(dst)
	c.eachAttribute(func(oid string, _, whole cryptobyte.String) {
		if !slices.Contains(without, oid) {
			dst = append(dst, whole...)
		}
	})
	dst = der.Wrap(dst, attributes, der.Explicit(0))
	return der.Wrap(dst, start, asn1.SEQUENCE)
}
