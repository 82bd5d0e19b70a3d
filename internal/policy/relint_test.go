package policy

import (
	"bytes"
	"cmp"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
)

func TestRelint(t *testing.T) {
	for _, name := range packs.Story() {
		from := newIssuer(t, name)
		b := bind(t, reference(t, name), from.IssuerParams)
		certificate := issue(t, b, from, inputFor(t, name, generate(t, b.profile.KeyKinds()[0])), testSerial())
		if err := b.Relint(certificate); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	b, from := everything(t)
	if err := b.Relint(issue(t, b, from, everyInput(t), testSerial())); err != nil {
		t.Errorf("everything: %v", err)
	}
}

// TestRelintFinds reads certificates again that are not what the profile makes.
func TestRelintFinds(t *testing.T) {
	from := newIssuer(t, "meter")
	b := bind(t, reference(t, "meter"), from.IssuerParams)
	certificate := issue(t, b, from, inputFor(t, "meter", generate(t, pki.P256)), testSerial())
	for name, row := range map[string]struct{ old, new, want string }{
		"another key usage": {"\x03\x02\x03\x88", "\x03\x02\x07\x80", "4.2.1.3"},
		"another extension": {"\x55\x1d\x0f", "\x55\x1d\x7f", "not in its place"},
		"another shard":     {"/crl/0issuer/", "/crl/1issuer/", "4.2.1.13"},
		"another issuer":    {"Manufacturing 1", "Manufacturing 2", "4.1.2.4"},
	} {
		changed := bytes.ReplaceAll(certificate, []byte(row.old), []byte(row.new))
		if bytes.Equal(changed, certificate) {
			t.Fatalf("%s: nothing to change", name)
		}
		wantFinding(t, b.Relint(changed), row.want)
	}
	other := bind(t, parse(t, excepted), from.IssuerParams)
	wantFinding(t, other.Relint(certificate), "extension")

	// A version that no longer excepts a rule, as after a rule was added.
	in := &Input{CSR: request(t, generate(t, pki.P256), ""), Device: "D-1", Now: now}
	made := issue(t, other, from, in, testSerial())
	if err := other.Relint(made); err != nil {
		t.Error(err)
	}
	wantFinding(t, bind(t, parse(t, inconsistent), from.IssuerParams).Relint(made), "e_key_usage_and_extended_key_usage_inconsistent")
}

// TestRelintOfAnother reads certificates as ones of a profile version that cannot have
// made them: another made them, under the same issuer.
func TestRelintOfAnother(t *testing.T) {
	const profile = `profile: p
keys: {allow: [p256]}
validity: 90d
subject:
  - {type: O, value: Example}
  - rdn: [{type: OU, from: request.attributes.unit, check: name, optional: true}, {type: CN, from: device.id, pattern: "D-[0-9]+"}]
san:
  names:
    - {uri: {from: "'urn:d:' + device.id"}}
    - {dns: {from: csr.san.dns}}
    - {directoryName: [{type: CN, from: device.id}]}
    - {otherName: {type: 1.3.6.1.4.1.32473.7, asn1: {sequence: [{utf8: {from: device.id}}, {integer: {from: request.attributes.n, check: name, optional: true}}]}}}
basicConstraints: {ca: false}
keyUsage: {use: [digitalSignature]}
keyIdentifiers: [subject, authority]
extensions:
  - {oid: 1.3.6.1.4.1.32473.9, asn1: {utf8: {from: device.id}}}
  - {oid: 1.3.6.1.4.1.32473.10, asn1: {set: [{utf8: {from: device.id}}, {explicit: {tag: 0, of: {boolean: true}}}]}}
`
	from := newIssuer(t, "meter")
	b := bind(t, parse(t, profile), from.IssuerParams)
	key := generate(t, pki.P256)
	made := func(text string, in *Input) []byte {
		in.Device, in.Now = cmp.Or(in.Device, "D-1"), now
		return issue(t, bind(t, parse(t, text), from.IssuerParams), from, in, testSerial())
	}
	csr := request(t, key, "")
	for _, in := range []*Input{{CSR: csr}, {CSR: csr, Attributes: map[string]string{"unit": "U", "n": "12"}}} {
		if err := b.Relint(made(profile, in)); err != nil {
			t.Error(err)
		}
	}
	for name, row := range map[string]struct{ old, new, want string }{
		"longer":                     {"validity: 90d", "validity: 10y", "valid until"},
		"shorter":                    {"validity: 90d", "validity: 89d", "valid until"},
		"another organization":       {"value: Example", "value: Evil", "subject"},
		"another type":               {"{type: O, value", "{type: L, value", "subject"},
		"another string":             {"{type: O, value: Example}", "{type: O, value: Example, string: printable}", "subject"},
		"an attribute more":          {"  - rdn:", "  - {type: L, value: Berlin}\n  - rdn:", "subject"},
		"an RDN apart":               {"  - rdn: [{type: OU, from: request.attributes.unit, check: name, optional: true}, {type: CN, from: device.id, pattern: \"D-[0-9]+\"}]", "  - {type: OU, value: U}\n  - {type: CN, from: device.id}", "subject"},
		"not of the pattern":         {`device.id, pattern: "D-[0-9]+"`, "\"'E-' + device.id\"", "subject"},
		"a sure name missing":        {"    - {uri: {from: \"'urn:d:' + device.id\"}}\n", "", "alternative names"},
		"names in another order":     {"    - {dns: {from: csr.san.dns}}\n    - {directoryName: [{type: CN, from: device.id}]}\n", "    - {directoryName: [{type: CN, from: device.id}]}\n    - {email: a@x.example}\n", "alternative names"},
		"a kind more":                {"    - {dns: {from: csr.san.dns}}", "    - {email: evil@x.example}", "alternative names"},
		"a directory name's type":    {"directoryName: [{type: CN", "directoryName: [{type: O", "alternative names"},
		"an other name's type":       {"1.3.6.1.4.1.32473.7", "1.3.6.1.4.1.32473.8", "alternative names"},
		"an other name's content":    {"{sequence: [{utf8: {from: device.id}}", "{sequence: [{ia5: {from: device.id}}", "alternative names"},
		"an other name's element":    {"optional: true}}]}}}", "optional: true}}, {boolean: true}]}}}", "alternative names"},
		"a value's type":             {"32473.9, asn1: {utf8: {from: device.id}}", "32473.9, asn1: {ia5: {from: device.id}}", "32473.9"},
		"an element of a set's type": {"{set: [{utf8", "{set: [{ia5", "32473.10"},
		"an element of a set more":   {"{set: [", "{set: [{boolean: false}, ", "32473.10"},
		"a sure extension missing":   {"  - {oid: 1.3.6.1.4.1.32473.9, asn1: {utf8: {from: device.id}}}\n", "", "32473.9"},
		"a tag in the set":           {"{explicit: {tag: 0,", "{explicit: {tag: 1,", "32473.10"},
	} {
		text := strings.Replace(profile, row.old, row.new, 1)
		if text == profile {
			t.Fatalf("%s: nothing to change", name)
		}
		t.Run(name, func(t *testing.T) { wantFinding(t, b.Relint(made(text, &Input{CSR: csr})), row.want) })
	}
}
