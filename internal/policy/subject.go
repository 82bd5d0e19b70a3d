package policy

import (
	"slices"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// An attribute is one attribute of the subject.
type attribute struct {
	oid  string
	kind tbs.StringType
	value
	joined bool // in the RDN of the attribute before it
}

// attributeTypes are the attributes with a short name, each with the string type
// that RFC 5280, appendix A.1 demands, or UTF8String where it leaves a choice.
var attributeTypes = map[string]attribute{
	"C":            {oid: der.OIDCountry, kind: tbs.PrintableString},
	"ST":           {oid: der.OIDProvince},
	"L":            {oid: der.OIDLocality},
	"O":            {oid: der.OIDOrganization},
	"OU":           {oid: der.OIDOrganizationalUnit},
	"CN":           {oid: der.OIDCommonName},
	"serialNumber": {oid: der.OIDSerialNumber, kind: tbs.PrintableString},
	"DC":           {oid: der.OIDDomainComponent, kind: tbs.IA5String},
}

// stringTypes are the string types by their names in profiles.
var stringTypes = map[string]tbs.StringType{"utf8": tbs.UTF8String, "printable": tbs.PrintableString, "ia5": tbs.IA5String}

// compileSubject checks the RDNs as written.
func compileSubject(written []documentRDN) ([]attribute, error) {
	var subject []attribute
	for _, rdn := range written {
		if len(rdn.RDN) == 0 {
			return nil, pki.Errorf(pki.Malformed, "an rdn has at least one attribute")
		}
		for i := range rdn.RDN {
			a, err := rdn.RDN[i].attribute()
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(subject[len(subject)-i:], func(o attribute) bool { return o.oid == a.oid }) {
				return nil, at(rdn.RDN[i].Type.token, "an RDN has one value of a type (X.501, 9.3)")
			}
			a.joined = i > 0
			if subject = append(subject, a); len(subject) > maxValues {
				return nil, pki.Errorf(pki.Malformed, "subject: there are at most %d attributes", maxValues)
			}
		}
	}
	return subject, nil
}

// attribute checks one attribute as written.
func (d *documentValue) attribute() (attribute, error) {
	a, named := attributeTypes[d.Type.text]
	if !named {
		a.oid = d.Type.text
	}
	if d.String.text != "" {
		if a.kind, named = stringTypes[d.String.text]; !named {
			return a, at(d.String.token, "a string is utf8, printable or ia5")
		}
	}
	if d.As.text != "" {
		return a, at(d.As.token, "as is for octets")
	}
	v, err := d.compile("")
	if err != nil {
		return a, err
	}
	if v.list() {
		return a, at(d.From.token, "an RDN has one value; this path may yield many")
	}
	// A trial finds what could never be encoded: no OID, or the OID of an
	// attribute that has another string type.
	trial := tbs.Attribute{OID: a.oid, Type: a.kind, Value: "XX"}
	if _, err := (tbs.Name{trial}).Append(nil); err != nil {
		return a, at(d.Type.token, "an attribute type is C, ST, L, O, OU, CN, serialNumber, DC or an OID, with a string type that RFC 5280 lets it have")
	}
	if v.literal != "" {
		trial.Value = v.literal
		if _, err := (tbs.Name{trial}).Append(nil); err != nil {
			return a, at(d.Value.token, pki.DetailOf(err))
		}
	}
	a.value = v
	return a, nil
}

// Subject returns the DER Name that the profile gives to in, or a PolicyRefused
// error. Bound.Content does the same; who makes a root needs its name before
// there is an issuer to bind to. Only what the subject draws on needs to be set.
func (p *Profile) Subject(in *Input) ([]byte, error) { return nameOf(p.subject, in) }

// nameOf returns the DER Name of the attributes. Of an RDN with an absent optional
// attribute the others stay.
func nameOf(attributes []attribute, in *Input) ([]byte, error) {
	var usual [8]tbs.Attribute // more than most names have, so that they take no memory
	name := tbs.Name(usual[:0])
	open := false // the RDN has an attribute already
	for i := range attributes {
		a := &attributes[i]
		text, err := a.one(in)
		if err != nil {
			return nil, err
		}
		open = open && a.joined
		if text != "" {
			name = append(name, tbs.Attribute{OID: a.oid, Type: a.kind, Value: text, Joined: open})
			open = true
		}
	}
	encoded, err := name.Append(make([]byte, 0, 128))
	if err != nil {
		return nil, pki.Because(pki.PolicyRefused, err, "the subject cannot be as the profile says: %s", pki.DetailOf(err))
	}
	return encoded, nil
}
