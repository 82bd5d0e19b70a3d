package policy

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// What a value in ASN.1 may be.
const (
	maxASN1Depth = 12
	maxASN1Nodes = 200
	maxASN1Size  = 16 << 10 // bytes of DER
)

// tagBMPString is the universal tag 30 (X.680, 8.4).
const tagBMPString = asn1.Tag(30)

// An asn1Value is a compiled value in ASN.1: a constant, a leaf whose text is
// drawn when a certificate is made, or what holds others.
type asn1Value struct {
	constant []byte // the whole element; then nothing else counts
	tag      asn1.Tag
	leaf     *value
	content  func(text string) ([]byte, error) // of a leaf
	children []asn1Value
	sorted   bool // children are in the order of DER (X.690, 11.6)
	single   bool // the one child is wrapped; without it nothing is left
	implicit bool // it has tag instead of its own
}

// compile checks the value as written. nodes counts what was compiled so far.
func (d *documentASN1) compile(depth int, nodes *int) (v asn1Value, err error) {
	if *nodes++; depth > maxASN1Depth || *nodes > maxASN1Nodes {
		return v, pki.Errorf(pki.Malformed, "asn1: this has more than %d values, or more than %d within each other", maxASN1Nodes, maxASN1Depth)
	}
	made := 0
	set := func(next asn1Value, failed error) {
		made++
		v, err = next, failed
	}
	within := func(tag asn1.Tag, inner ...documentASN1) asn1Value {
		holder := asn1Value{tag: tag}
		for i := range inner {
			child, failed := inner[i].compile(depth+1, nodes)
			if err == nil {
				err = failed
			}
			holder.children = append(holder.children, child)
		}
		return holder
	}
	if d.Boolean != nil {
		set(asn1Value{constant: map[bool][]byte{false: {1, 1, 0}, true: {1, 1, 0xff}}[*d.Boolean]}, nil)
	}
	if d.OID.text != "" {
		id, failed := der.AppendOID(nil, d.OID.text)
		if failed != nil {
			failed = at(d.OID.token, "an object identifier is written in dots, as 1.3.6.1.4.1.32473")
		}
		set(asn1Value{constant: id}, failed)
	}
	if d.DER.text != "" {
		raw, failed := parseDER(d.DER.text)
		if failed != nil {
			failed = at(d.DER.token, failed.Error())
		}
		set(asn1Value{constant: raw}, failed)
	}
	for _, leaf := range d.leaves() {
		if leaf.written != nil {
			set(leaf.compile())
		}
	}
	if d.Sequence != nil {
		set(within(asn1.SEQUENCE, d.Sequence...), err)
	}
	if d.Set != nil {
		holder := within(asn1.SET, d.Set...)
		holder.sorted = true
		set(holder, err)
	}
	if d.Wrapped != nil {
		holder := within(asn1.OCTET_STRING, *d.Wrapped)
		holder.single = true
		set(holder, err)
	}
	for i, tagged := range [...]*documentTagged{d.Explicit, d.Implicit} {
		if tagged == nil {
			continue
		}
		if tagged.Tag > 30 {
			return v, pki.Errorf(pki.Malformed, "asn1: a tag is 0 to 30")
		}
		holder := within(der.Explicit(tagged.Tag), tagged.Of)
		holder.single, holder.implicit = true, i == 1
		set(holder, err)
	}
	if err == nil && made != 1 {
		err = pki.Errorf(pki.Malformed, "asn1: a value has one of boolean, integer, enumerated, oid, utf8, printable, ia5, bmp, octets, bits, time, sequence, set, explicit, implicit, wrapped and der")
	}
	if err != nil {
		return v, err
	}
	return v.fold()
}

// fold makes a constant of a value in which nothing varies.
func (v asn1Value) fold() (asn1Value, error) {
	if v.constant != nil || v.leaf != nil && v.leaf.literal == "" ||
		slices.ContainsFunc(v.children, func(c asn1Value) bool { return c.constant == nil }) {
		return v, nil
	}
	constant, err := v.append(nil, nil)
	if err != nil {
		return v, pki.Because(pki.Malformed, err, "asn1: %s", pki.DetailOf(err))
	}
	return asn1Value{constant: constant}, nil
}

// append appends the element, or nothing where it is an optional value that is
// absent. It refuses, as PolicyRefused, what the type does not allow.
func (v *asn1Value) append(dst []byte, in *Input) ([]byte, error) {
	at := len(dst)
	switch {
	case v.constant != nil:
		return append(dst, v.constant...), nil
	case v.leaf != nil:
		text, err := v.leaf.one(in)
		if err != nil || text == "" {
			return dst, err
		}
		content, err := v.content(text)
		if err != nil {
			return nil, pki.Errorf(pki.PolicyRefused, "%.200q: %s", text, err)
		}
		return der.Append(dst, v.tag, content), nil
	case v.sorted:
		encoded := make([][]byte, len(v.children))
		size := 0
		for i := range v.children {
			var err error
			if encoded[i], err = v.children[i].append(nil, in); err != nil {
				return nil, err
			}
			if size += len(encoded[i]); size > maxASN1Size {
				return nil, errASN1Size
			}
		}
		slices.SortFunc(encoded, bytes.Compare)
		return der.Append(dst, v.tag, bytes.Join(encoded, nil)), nil
	}
	for i := range v.children {
		var err error
		if dst, err = v.children[i].append(dst, in); err != nil {
			return nil, err
		}
		if len(dst) > at+maxASN1Size {
			return nil, errASN1Size
		}
	}
	switch {
	case v.single && len(dst) == at:
		return dst, nil
	case v.implicit: // the form, primitive or constructed, stays
		dst[at] = byte(v.tag)&^0x20 | dst[at]&0x20
		return dst, nil
	}
	return der.Wrap(dst, at, v.tag), nil
}

// errASN1Size refuses a value that grew too large.
var errASN1Size = pki.Errorf(pki.PolicyRefused, "the profile's value in ASN.1 has more than %d bytes", maxASN1Size)

// An asn1Leaf is a type whose content is made of a text.
type asn1Leaf struct {
	written *documentValue
	tag     asn1.Tag
	content func(text string) ([]byte, error)
}

// leaves returns the types of d's keys that hold a text.
func (d *documentASN1) leaves() []asn1Leaf {
	text := func(kind tbs.StringType) func(string) ([]byte, error) {
		return func(text string) ([]byte, error) {
			if !kind.Allows([]byte(text)) {
				return nil, errors.New("it has characters that its string type does not have")
			}
			return []byte(text), nil
		}
	}
	return []asn1Leaf{
		{d.Integer, asn1.INTEGER, integerOf},
		{d.Enumerated, asn1.ENUM, integerOf},
		{d.UTF8, asn1.UTF8String, text(tbs.UTF8String)},
		{d.Printable, asn1.PrintableString, text(tbs.PrintableString)},
		{d.IA5, asn1.IA5String, text(tbs.IA5String)},
		{d.BMP, tagBMPString, bmpOf},
		{d.Octets, asn1.OCTET_STRING, octetsAs(d.Octets)},
		{d.Bits, asn1.BIT_STRING, func(text string) ([]byte, error) {
			octets, err := octetsAs(d.Bits)(text)
			return append([]byte{0}, octets...), err
		}},
		{d.Time, asn1.GeneralizedTime, timeOf},
	}
}

func (l asn1Leaf) compile() (asn1Value, error) {
	v, err := l.written.compile(anyLiteral)
	if err == nil && v.list() {
		err = at(l.written.From.token, "a value in ASN.1 is one; this may yield many")
	}
	if as := l.written.As; err == nil && as.text != "" && l.tag != asn1.OCTET_STRING && l.tag != asn1.BIT_STRING {
		err = at(as.token, "as is for octets and bits")
	}
	if err != nil {
		return asn1Value{}, err
	}
	made := asn1Value{tag: l.tag, leaf: &v, content: l.content}
	if v.literal != "" {
		if _, err := l.content(v.literal); err != nil {
			return made, at(l.written.Value.token, err.Error())
		}
	}
	return made, nil
}

// integerOf returns the content of an INTEGER that is written in decimal.
func integerOf(text string) ([]byte, error) {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || len(text) > 100 {
		return nil, errors.New("an integer is written in decimal, with 100 digits at most")
	}
	var b cryptobyte.Builder
	b.AddASN1BigInt(n)
	whole := cryptobyte.String(b.BytesOrPanic())
	var content cryptobyte.String
	whole.ReadASN1(&content, asn1.INTEGER)
	return content, nil
}

// bmpOf returns text in UTF-16 without surrogates, which a BMPString has not.
func bmpOf(text string) ([]byte, error) {
	var content []byte
	for _, r := range text {
		if r > 0xffff || utf16.IsSurrogate(r) {
			return nil, errors.New("it has characters that a BMPString does not have")
		}
		content = append(content, byte(r>>8), byte(r))
	}
	return content, nil
}

// timeOf returns the content of a GeneralizedTime for a time by RFC 3339.
func timeOf(text string) ([]byte, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Nanosecond() != 0 || t.UTC().Year() < 0 || t.UTC().Year() > 9999 {
		return nil, errors.New("a time is written as 2026-12-31T23:59:59Z")
	}
	return t.UTC().AppendFormat(nil, "20060102150405Z"), nil
}

// octetsAs returns what makes octets of a text: it is itself, hexadecimal or
// base64.
func octetsAs(d *documentValue) func(string) ([]byte, error) {
	as := ""
	if d != nil {
		as = d.As.text
	}
	switch as {
	case "hex":
		return hex.DecodeString
	case "base64":
		return base64.StdEncoding.DecodeString
	default:
		return func(text string) ([]byte, error) { return []byte(text), nil }
	}
}

// parseDER reads hexadecimal digits that are one element of DER.
func parseDER(text string) ([]byte, error) {
	raw, err := hex.DecodeString(text)
	s := cryptobyte.String(raw)
	var element cryptobyte.String
	var tag asn1.Tag
	if err != nil || len(raw) > maxASN1Size || !s.ReadAnyASN1Element(&element, &tag) || !s.Empty() || !wellFormed(element, 1) {
		return nil, errors.New("this is not one element of DER in hexadecimal digits")
	}
	return raw, nil
}

// wellFormed reports whether elements, and those within the constructed ones, are
// whole.
func wellFormed(elements cryptobyte.String, depth int) bool {
	for !elements.Empty() {
		var content cryptobyte.String
		var tag asn1.Tag
		if depth > maxASN1Depth || !elements.ReadAnyASN1(&content, &tag) || tag&0x20 != 0 && !wellFormed(content, depth+1) {
			return false
		}
	}
	return true
}
