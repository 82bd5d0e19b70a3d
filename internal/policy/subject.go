package policy

import (
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// An attribute is one RDN of the subject.
type attribute struct {
	oid  string
	kind tbs.StringType
	value
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

// compileSubject checks the RDNs as written.
func compileSubject(written []documentValue) ([]attribute, error) {
	if len(written) > maxValues {
		return nil, pki.Errorf(pki.Malformed, "subject: there are at most %d RDNs", maxValues)
	}
	var subject []attribute
	for i := range written {
		d := &written[i]
		a, named := attributeTypes[d.Type.text]
		if !named {
			a.oid = d.Type.text
		}
		v, err := d.compile("")
		if err != nil {
			return nil, err
		}
		if v.list() {
			return nil, at(d.From.token, "an RDN has one value; this path may yield many")
		}
		// A trial finds what could never be encoded: no OID, or the OID of an
		// attribute that has another string type than UTF8String.
		trial := tbs.Attribute{OID: a.oid, Type: a.kind, Value: "XX"}
		if _, err := (tbs.Name{trial}).Append(nil); err != nil {
			return nil, at(d.Type.token, "an attribute type is C, ST, L, O, OU, CN, serialNumber, DC or an OID whose values are UTF8Strings")
		}
		if v.literal != "" {
			trial.Value = v.literal
			if _, err := (tbs.Name{trial}).Append(nil); err != nil {
				return nil, at(d.Value.token, pki.DetailOf(err))
			}
		}
		a.value = v
		subject = append(subject, a)
	}
	return subject, nil
}

// Subject returns the DER Name that the profile gives to in, or a PolicyRefused
// error. Bound.Content does the same; who makes a root needs its name before
// there is an issuer to bind to. Only what the subject draws on needs to be set.
func (p *Profile) Subject(in *Input) ([]byte, error) {
	name := make(tbs.Name, 0, len(p.subject))
	for i := range p.subject {
		a := &p.subject[i]
		text, err := a.one(in)
		if err != nil {
			return nil, err
		}
		if text != "" {
			name = append(name, tbs.Attribute{OID: a.oid, Type: a.kind, Value: text})
		}
	}
	encoded, err := name.Append(make([]byte, 0, 128))
	if err != nil {
		return nil, pki.Because(pki.PolicyRefused, err, "the subject cannot be as the profile says: %s", pki.DetailOf(err))
	}
	return encoded, nil
}
