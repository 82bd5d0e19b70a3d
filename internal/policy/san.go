package policy

import (
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A sanRule yields subject alternative names: one, or all of its kind that the
// CSR asks for.
type sanRule struct {
	kind   tbs.GeneralNameKind
	hwType string // OID of a hardwareModuleName
	value
}

// compileSAN checks the names as written.
func compileSAN(written *documentSAN) ([]sanRule, error) {
	if written.Required && len(written.Names) == 0 {
		return nil, pki.Errorf(pki.Malformed, "san: it is required but has no names")
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
		{"hardwareModuleName", tbs.HardwareModuleName, n.HardwareModuleName},
	} {
		if k.value == nil {
			continue
		}
		kinds++
		rule.kind, rule.hwType = k.kind, k.value.Type.text
		if k.kind == tbs.HardwareModuleName {
			if _, err := der.AppendOID(nil, rule.hwType); err != nil {
				return rule, at(k.value.first(), "a hardwareModuleName has a type, an OID")
			}
			rule.value, err = k.value.compile("")
		} else {
			if rule.hwType != "" {
				return rule, at(k.value.Type.token, "a "+k.name+" name has no type")
			}
			rule.value, err = k.value.compile(k.name)
		}
		if err != nil {
			return rule, err
		}
		if rule.list() && rule.from.kind != rule.kind {
			return rule, at(k.value.From.token, "this path yields names of another kind")
		}
		if rule.list() && rule.optional {
			return rule, at(k.value.From.token, "this path may yield no names without being optional; see san: required")
		}
	}
	if kinds != 1 {
		return rule, pki.Errorf(pki.Malformed, "san: an entry of names is one of dns, uri, ip and hardwareModuleName")
	}
	return rule, nil
}

// sanOf returns the DER GeneralNames that the profile gives to in, nil for none, or
// a PolicyRefused error.
func (p *Profile) sanOf(in *Input) ([]byte, error) {
	var names []tbs.GeneralName
	for i := range p.san {
		rule := &p.san[i]
		if !rule.list() {
			text, err := rule.one(in)
			if err != nil {
				return nil, err
			}
			if text != "" {
				names = append(names, rule.name(text))
			}
			continue
		}
		for j := range in.CSR.Names {
			if in.CSR.Names[j].Kind != rule.kind {
				continue
			}
			if err := rule.accept(in, in.CSR.Names[j].Text); err != nil {
				return nil, err
			}
			names = append(names, rule.name(in.CSR.Names[j].Text))
		}
	}
	if len(names) == 0 {
		if p.sanRequired {
			return nil, pki.Errorf(pki.PolicyRefused, "the profile needs a subject alternative name, and the request has none that it takes")
		}
		return nil, nil
	}
	encoded, err := tbs.AppendGeneralNames(make([]byte, 0, 64), names)
	if err != nil {
		return nil, pki.Because(pki.PolicyRefused, err, "the subject alternative names cannot be as the profile says: %s", pki.DetailOf(err))
	}
	return encoded, nil
}

func (r *sanRule) name(text string) tbs.GeneralName {
	if r.kind == tbs.HardwareModuleName {
		return tbs.GeneralName{Kind: r.kind, HWType: r.hwType, HWSerial: []byte(text)}
	}
	return tbs.GeneralName{Kind: r.kind, Text: text}
}
