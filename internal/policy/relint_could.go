package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/tbs"
)

// couldHave refuses what no request could have got from the profile version: another
// length of validity, a subject or a name or a value of another type, of another form
// or in another place than the profile has them, or without one that is sure. Whether
// what varies is true of the device, and whether its endpoint authorised a name, is not
// to be seen in a certificate.
func (b *Bound) couldHave(p *tbs.Parsed, c *tbs.Content) error {
	last := b.profile.window.validity.last(p.NotBefore)
	clipped := b.profile.window.clip && !b.issuer.NotAfter.IsZero() && last.After(b.issuer.NotAfter) && p.NotAfter.Equal(b.issuer.NotAfter)
	if !p.NotAfter.Equal(last) && !clipped {
		return fmt.Errorf("it is valid until %s; from its beginning the profile gives it until %s", stamp(p.NotAfter), stamp(last))
	}
	subject, err := tbs.ParseName(c.Subject)
	if err != nil {
		return err
	}
	if !couldBeName(b.profile.subject, subject) {
		return errors.New("its subject has not the attributes that the profile gives, in their order, types and forms")
	}
	var names []tbs.GeneralName
	if c.SAN != nil {
		if names, err = tbs.ParseGeneralNames(c.SAN); err != nil {
			return err
		}
	}
	san := b.profile.san
	if !inOrder(len(san), len(names), func(i int) (optional, many bool) { return san[i].mayBeAbsent(), san[i].list() },
		func(i, j int) bool { return san[i].couldBe(&names[j]) }) {
		return errors.New("its subject alternative names are not those that the profile gives, in their order, kinds and forms")
	}
	values := c.Values
	for i := range b.profile.others {
		e := &b.profile.others[i]
		if e.value.constant != nil {
			continue
		}
		value := values[0]
		values = values[1:]
		if value == nil && !e.value.mayBeAbsent() || value != nil && !e.value.couldBe(value) {
			return fmt.Errorf("extension %s has not the value that the profile gives it, by its types and forms", e.oid)
		}
	}
	return nil
}

// inOrder reports whether n rules can have made m items: each rule, in order, one item
// that fits it, none where it is optional, or any number.
func inOrder(n, m int, may func(rule int) (optional, many bool), fits func(rule, item int) bool) bool {
	done := make([]bool, m+1) // how many items the rules so far may have made
	done[0] = true
	for i := range n {
		next := make([]bool, m+1)
		optional, many := may(i)
		for j := range m + 1 {
			next[j] = next[j] || done[j] && (optional || many)
			if j < m && (done[j] || many && next[j]) && fits(i, j) {
				next[j+1] = true
			}
		}
		done = next
	}
	return done[m]
}

// couldBe reports whether the value may have been the text.
func (v *value) couldBe(text string) bool {
	if v.literal != "" {
		return text == v.literal
	}
	return (v.check.valid == nil || v.check.valid(text) == nil) && (v.pattern == nil || v.pattern.MatchString(text))
}

// couldBeName reports whether the attributes may have made the name.
func couldBeName(attributes []attribute, name tbs.Name) bool {
	rules := rdns(attributes, func(a attribute) bool { return a.joined })
	made := rdns(name, func(a tbs.Attribute) bool { return a.Joined })
	return inOrder(len(rules), len(made),
		func(i int) (bool, bool) { return allOptional(rules[i]), false },
		func(i, j int) bool { return couldBeRDN(rules[i], made[j]) })
}

// rdns returns the attributes by RDN.
func rdns[A any](attributes []A, joined func(A) bool) [][]A {
	var all [][]A
	for _, a := range attributes {
		if !joined(a) || len(all) == 0 {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], a)
	}
	return all
}

func allOptional(rdn []attribute) bool {
	return !slices.ContainsFunc(rdn, func(a attribute) bool { return !a.optional })
}

// couldBeRDN reports whether the attributes of an RDN may have made one, which has each
// type once.
func couldBeRDN(rules []attribute, rdn []tbs.Attribute) bool {
	for i := range rules {
		r := &rules[i]
		at := slices.IndexFunc(rdn, func(a tbs.Attribute) bool { return a.OID == r.oid })
		if at < 0 && !r.optional || at >= 0 && (rdn[at].Type != r.kind || !r.couldBe(rdn[at].Value)) {
			return false
		}
	}
	return !slices.ContainsFunc(rdn, func(a tbs.Attribute) bool {
		return !slices.ContainsFunc(rules, func(r attribute) bool { return r.oid == a.OID })
	})
}

// mayBeAbsent reports whether the rule may yield no name.
func (r *sanRule) mayBeAbsent() bool {
	switch {
	case r.fixed != nil:
		return false
	case r.name != nil:
		return allOptional(r.name)
	case r.other != nil:
		return r.other.mayBeAbsent()
	}
	return r.optional
}

// couldBe reports whether the rule may have yielded the name.
func (r *sanRule) couldBe(n *tbs.GeneralName) bool {
	switch {
	case r.fixed != nil:
		return n.Kind == r.fixed.Kind && bytes.Equal(n.DER, r.fixed.DER)
	case r.name != nil:
		var element cryptobyte.String
		var tag asn1.Tag
		s := cryptobyte.String(n.DER)
		if n.Kind != tbs.OtherGeneralName || !s.ReadAnyASN1(&element, &tag) || !bytes.Equal(tbs.DirectoryName(element).DER, n.DER) {
			return false
		}
		name, err := tbs.ParseName(element)
		return err == nil && couldBeName(r.name, name)
	case r.other != nil:
		var oid string
		var content, element cryptobyte.String
		var tag asn1.Tag
		s := cryptobyte.String(n.DER)
		return n.Kind == tbs.OtherGeneralName && s.ReadAnyASN1(&content, &tag) && der.ReadOID(&content, &oid) && oid == r.typeID &&
			content.ReadASN1(&element, der.Explicit(0)) && content.Empty() && r.other.couldBe(element)
	case n.Kind != r.kind:
		return false
	case r.kind == tbs.HardwareModuleName: // what its octets were as text is not to be seen
		return n.HWType == r.hwType && len(n.HWSerial) > 0
	}
	return r.value.couldBe(n.Text)
}

// mayBeAbsent reports whether the value may be left out.
func (v *asn1Value) mayBeAbsent() bool {
	switch {
	case v.constant != nil:
		return false
	case v.leaf != nil:
		return v.leaf.optional
	}
	return v.single && v.children[0].mayBeAbsent()
}

// couldBe reports whether the value may have been the DER.
func (v *asn1Value) couldBe(encoded []byte) bool {
	s := cryptobyte.String(encoded)
	var content cryptobyte.String
	var tag asn1.Tag
	switch {
	case v.constant != nil:
		return bytes.Equal(encoded, v.constant)
	case !s.ReadAnyASN1(&content, &tag) || !s.Empty():
		return false
	case v.implicit: // the tag hides the type
		return tag&^0x20 == v.tag&^0x20
	case tag != v.tag:
		return false
	case v.leaf == nil:
		return v.couldHold(content)
	}
	switch v.tag {
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String:
		return v.leaf.couldBe(string(content))
	}
	return true
}

// couldHold reports whether the value may have been made of the elements.
func (v *asn1Value) couldHold(content cryptobyte.String) bool {
	var elements [][]byte
	for !content.Empty() {
		var element cryptobyte.String
		var tag asn1.Tag
		if !content.ReadAnyASN1Element(&element, &tag) {
			return false
		}
		elements = append(elements, element)
	}
	if v.sorted { // by their bytes: which is whose, the types say
		return len(elements) <= len(v.children) && !slices.ContainsFunc(elements, func(e []byte) bool {
			return !slices.ContainsFunc(v.children, func(child asn1Value) bool { return child.couldBe(e) })
		})
	}
	return inOrder(len(v.children), len(elements), func(i int) (bool, bool) { return v.children[i].mayBeAbsent(), false },
		func(i, j int) bool { return v.children[i].couldBe(elements[j]) })
}
