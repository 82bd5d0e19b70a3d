package policy

import (
	"slices"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// oidUPN is the otherName of a user principal name in Microsoft's directory.
const oidUPN = "1.3.6.1.4.1.311.20.2.3"

// A sanRule yields subject alternative names: texts of a kind, or what has a form
// of its own.
type sanRule struct {
	kind   tbs.GeneralNameKind
	hwType string // OID of a hardwareModuleName
	octets func(string) ([]byte, error)
	value  // of a kind with texts

	other  *asn1Value  // otherName
	typeID string      // of it
	name   []attribute // directoryName
	fixed  *tbs.GeneralName
}

// compileSAN checks the names as written.
func compileSAN(written *documentSAN) ([]sanRule, error) {
	if (written.Required || written.Critical) && len(written.Names) == 0 {
		return nil, pki.Errorf(pki.Malformed, "san: it is required or critical but has no names")
	}
	if len(written.Names) > maxValues {
		return nil, pki.Errorf(pki.Malformed, "san: there are at most %d entries of names", maxValues)
	}
	var rules []sanRule
	for i := range written.Names {
		rule, err := written.Names[i].compile()
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func (n *documentName) compile() (rule sanRule, err error) {
	kinds := 0
	for _, k := range [...]struct {
		name  string
		kind  tbs.GeneralNameKind
		value *documentValue
	}{
		{"dns", tbs.DNSName, n.DNS},
		{"uri", tbs.URI, n.URI},
		{"ip", tbs.IPAddress, n.IP},
		{"email", tbs.Email, n.Email},
	} {
		if k.value != nil {
			kinds++
			rule, err = k.value.nameOf(k.name, k.kind)
		}
	}
	if n.HardwareModuleName != nil {
		kinds++
		rule, err = n.HardwareModuleName.hardwareModule()
	}
	if n.UPN != nil {
		kinds++
		upn := documentTyped{Type: word{text: oidUPN}, ASN1: documentASN1{UTF8: n.UPN}}
		rule, err = upn.otherName()
	}
	if n.OtherName != nil {
		kinds++
		rule, err = n.OtherName.otherName()
	}
	if n.DirectoryName != nil {
		kinds++
		if rule.name, err = compileSubject(n.DirectoryName); err == nil && len(rule.name) == 0 {
			err = pki.Errorf(pki.Malformed, "a directoryName has at least one attribute")
		}
	}
	if n.RegisteredID.text != "" {
		kinds++
		name, failed := tbs.RegisteredID(n.RegisteredID.text)
		if failed != nil {
			err = at(n.RegisteredID.token, "a registeredID is an OID")
		}
		rule.fixed = &name
	}
	if err == nil && kinds != 1 {
		err = pki.Errorf(pki.Malformed, "san: an entry of names is one of dns, uri, ip, email, hardwareModuleName, upn, directoryName, registeredID and otherName")
	}
	return rule, err
}

// nameOf compiles a name whose text is its whole value.
func (d *documentValue) nameOf(name string, kind tbs.GeneralNameKind) (rule sanRule, err error) {
	rule.kind = kind
	if d.Type.text != "" {
		return rule, at(d.Type.token, "a "+name+" name has no type")
	}
	if d.As.text != "" {
		return rule, at(d.As.token, "as is for octets")
	}
	if rule.value, err = d.compile(name); err != nil {
		return rule, err
	}
	if rule.from.kind != "" && rule.from.kind != name {
		return rule, at(d.From.token, "this path yields names of another kind")
	}
	if rule.list() && rule.optional {
		return rule, at(d.From.token, "this path may yield no names without being optional; see san: required")
	}
	return rule, nil
}

// hardwareModule compiles a hardwareModuleName (RFC 4108, 5), whose serial number
// is octets.
func (d *documentValue) hardwareModule() (rule sanRule, err error) {
	rule.kind, rule.hwType, rule.octets = tbs.HardwareModuleName, d.Type.text, octetsAs(d)
	if _, err := der.AppendOID(nil, rule.hwType); err != nil {
		return rule, at(d.first(), "a hardwareModuleName has a type, an OID")
	}
	if rule.value, err = d.compile(""); err != nil {
		return rule, err
	}
	if rule.list() {
		return rule, at(d.From.token, "a hardware module has one name; this may yield many")
	}
	if rule.literal != "" {
		if _, err := rule.octets(rule.literal); err != nil {
			return rule, at(d.Value.token, err.Error())
		}
	}
	return rule, nil
}

func (d *documentTyped) otherName() (rule sanRule, err error) {
	rule.typeID = d.Type.text
	if _, err := der.AppendOID(nil, rule.typeID); err != nil || rule.typeID == der.OIDHardwareModuleName {
		return rule, at(d.Type.token, "an otherName has a type, an OID; that of a hardware module has a key of its own")
	}
	nodes := 0
	compiled, err := d.ASN1.compile(1, &nodes)
	rule.other = &compiled
	return rule, err
}

// append appends the names of the rule for in, none where what it draws on is
// optional and absent.
func (r *sanRule) append(names []tbs.GeneralName, in *Input) ([]tbs.GeneralName, error) {
	switch {
	case r.fixed != nil:
		return append(names, *r.fixed), nil
	case r.name != nil:
		name, err := nameOf(r.name, in)
		if err != nil || string(name) == emptyName {
			return names, err
		}
		return append(names, tbs.DirectoryName(name)), nil
	case r.other != nil:
		encoded, err := r.other.append(nil, in)
		if err != nil || len(encoded) == 0 {
			return names, err
		}
		name, err := tbs.OtherName(r.typeID, encoded)
		return append(names, name), err
	case r.list():
		texts, err := r.from.many(in)
		if err != nil {
			return nil, err
		}
		for _, text := range texts {
			if err := r.accept(in, text); err != nil {
				return nil, err
			}
			names = append(names, tbs.GeneralName{Kind: r.kind, Text: text})
		}
		return names, nil
	}
	text, err := r.one(in)
	if err != nil || text == "" {
		return names, err
	}
	if r.kind != tbs.HardwareModuleName {
		return append(names, tbs.GeneralName{Kind: r.kind, Text: text}), nil
	}
	serial, err := r.octets(text)
	if err != nil {
		return nil, pki.Errorf(pki.PolicyRefused, "the hardware serial number %.140q: %s", text, err)
	}
	return append(names, tbs.GeneralName{Kind: r.kind, HWType: r.hwType, HWSerial: serial}), nil
}

// textsOf returns the names of a kind.
func textsOf(names []tbs.GeneralName, kind tbs.GeneralNameKind) (texts []string) {
	for i := range names {
		if names[i].Kind == kind {
			texts = append(texts, names[i].Text)
		}
	}
	return texts
}

// sanOf returns the names that the profile gives to in, also as DER GeneralNames,
// nil for none, or a PolicyRefused error.
func (p *Profile) sanOf(in *Input) (names []tbs.GeneralName, encoded []byte, err error) {
	for i := range p.san {
		if names, err = p.san[i].append(names, in); err != nil {
			return nil, nil, err
		}
	}
	for i := range names {
		if slices.ContainsFunc(names[:i], names[i].Equal) {
			return nil, nil, pki.Errorf(pki.PolicyRefused, "the certificate would have the subject alternative name %.260q twice; ask for it once", names[i].Text)
		}
	}
	for i := range p.san {
		if r := &p.san[i]; r.exact {
			if err := r.check.agree(in.Names, textsOf(names, r.kind)); err != nil {
				return nil, nil, err
			}
		}
	}
	if len(names) == 0 {
		if p.sanRequired {
			return nil, nil, pki.Errorf(pki.PolicyRefused, "the profile needs a subject alternative name, and the request has none that it takes")
		}
		return nil, nil, nil
	}
	encoded, err = tbs.AppendGeneralNames(make([]byte, 0, 64), names)
	if err != nil {
		return nil, nil, pki.Because(pki.PolicyRefused, err, "the subject alternative names cannot be as the profile says: %s", pki.DetailOf(err))
	}
	return names, encoded, nil
}
