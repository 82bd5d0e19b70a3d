package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDiff has an edit of the profile that says everything a row, and what Diff says
// of it; the other way round it is the opposite.
func TestDiff(t *testing.T) {
	source, err := os.ReadFile("testdata/language.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before := parse(t, string(source))
	if changes := Diff(before, parse(t, string(source))); changes != nil {
		t.Errorf("of the same document: %v", changes)
	}
	for _, row := range []struct {
		old, new string
		want     Change
	}{
		{"mode: test\n", "", Change{"mode", "test", "", Widens}},
		{"[manufacturing]", "[manufacturing, other]", Change{"authorities", "", "other", Widens}},
		{"authorities: [manufacturing]\n", "", Change{"authorities", "manufacturing", "any", Widens}},
		{"rules:\n", "approvals: {steps: [2 of security-officer]}\nrules:\n", Change{"approvals", "nobody else", "2 of role security-officer within 7d", Narrows}},
		{"rules:\n", "quota: 7\nrules:\n", Change{"quota", "", "7", Narrows}},
		{"rules:\n", "strict: true\nrules:\n", Change{"strict", "", "true", Narrows}},
		{"rules:\n", "binding: tls\nrules:\n", Change{"binding", "", "tls", Narrows}},
		{"  - {require: \"lot.name != ''\", because: a certificate belongs to a lot}\n", "", Change{"rules", "lot.name != ''", "", Widens}},
		{"because: a certificate belongs to a lot", "because: there is no lot", Change{"rules.because", "a certificate belongs to a lot", "there is no lot", Differs}},
		{"rules:\n", "approvals: {steps: [2 of security-officer], expire: 1d}\nrules:\n", Change{"approvals", "nobody else", "2 of role security-officer within 1d", Narrows}},
		{"99991231235959Z", "36h", Change{"validity", "99991231235959Z", "36h", Narrows}},
		{"backdate: 5min", "backdate: 90s", Change{"backdate", "5min", "90s", Widens}},
		{"backdate: 5min\n", "", Change{"backdate", "5min", "", Widens}},
		{"allow: [p256]", "allow: [p256, p384]", Change{"keys.allow", "", "p384", Widens}},
		{"allow: [p256]", "allow: [p256], reuse: shared", Change{"keys.reuse", "", "shared", Widens}},
		{"allow: [p256]", "allow: [p256], renew: same-key", Change{"keys.renew", "", "same-key", Widens}},
		{"allow: [p256]", "allow: [p256], renew: {key: new-key}", Change{}},
		{"99991231235959Z", "20y", Change{"validity", "99991231235959Z", "20y", Narrows}},
		{"backdate: 5min", "backdate: 1h", Change{"backdate", "5min", "1h", Widens}},
		{"outlive: clip", "outlive: refuse", Change{"outlive", "clip", "", Narrows}},
		{"san:\n  critical: true", "san:\n  critical: true\n  required: true", Change{"san.required", "", "true", Narrows}},
		{"san:\n  critical: true", "san:", Change{"san.critical", "true", "", Widens}},
		{"    - {dns: fixed.example}\n", "", Change{"san.names", `dns "fixed.example"`, "", Narrows}},
		{"{ca: false}", "{ca: false}\nocspNoCheck: false", Change{}},
		{"encipherOnly], critical: false", "encipherOnly]", Change{"keyUsage.critical", "false", "", Narrows}},
		{"keyAgreement, encipherOnly]", "keyAgreement]", Change{"keyUsage.use", "encipherOnly", "", Narrows}},
		{"use: [clientAuth, ", "use: [clientAuth, serverAuth, ", Change{"extendedKeyUsage.use", "", "1.3.6.1.5.5.7.3.1", Widens}},
		{"45605.1], critical: true", "45605.1]", Change{"extendedKeyUsage.critical", "true", "", Widens}},
		{"    - 1.3.6.1.4.1.40732.2.1\n", "", Change{"policies", "1.3.6.1.4.1.40732.2.1", "", Narrows}},
		{"policies:\n  critical: true", "policies:", Change{"policies.critical", "true", "", Widens}},
		{", method: short}", "}", Change{"keyIdentifiers.method", "short", "", Differs}},
		{"[subject, authority]", "[subject]", Change{"keyIdentifiers", "authority", "", Differs}},
		{"noRevAvail: true", "status: {caIssuers: true}\nnoRevAvail: true", Change{"status.caIssuers", "", "true", Differs}},
		{"noRevAvail: true\n", "", Change{"noRevAvail", "true", "", Narrows}},
		{"extendedKeyUsage: {use: [clientAuth, 1.3.6.1.4.1.45605.1], critical: true}\n", "extendedKeyUsage: {use: [clientAuth, 1.3.6.1.4.1.45605.1], critical: true}\n# the same\n", Change{}},
		{"description: Says", "description: Said", Change{"description", "Says all that the language has for an end entity, once.", "Said all that the language has for an end entity, once.", Differs}},
	} {
		if strings.Count(string(source), row.old) != 1 {
			t.Fatalf("%q stands %d times", row.old, strings.Count(string(source), row.old))
		}
		after := parse(t, strings.Replace(string(source), row.old, row.new, 1))
		want, back := []Change{row.want}, []Change{{row.want.What, row.want.After, row.want.Before, opposite(row.want.Effect)}}
		if row.want.What == "backdate" { // with less of it notAfter is later
			back[0].Effect = Widens
		}
		if row.want == (Change{}) {
			want, back = nil, nil
		}
		if diff := cmp.Diff(want, Diff(before, after)); diff != "" {
			t.Errorf("%q to %q (-want +got):\n%s", row.old, row.new, diff)
		}
		if diff := cmp.Diff(back, Diff(after, before)); diff != "" {
			t.Errorf("back from %q (-want +got):\n%s", row.new, diff)
		}
	}
}

// TestDefaults: a profile says which values it has by saying nothing, and one that
// says everything relies on none.
func TestDefaults(t *testing.T) {
	short := parse(t, "profile: short\nkeys: {allow: [p256]}\nvalidity: 30d\nsubject: [{type: CN, from: device.id}]\nkeyUsage: {use: [digitalSignature]}\n")
	want := []Default{
		{"mode", "any"}, {"authorities", "any"}, {"strict", "false"}, {"keys.reuse", "per-device"}, {"keys.renew", "new-key"},
		{"backdate", "none"}, {"outlive", "refuse"}, {"keyUsage.critical", "true"},
	}
	if diff := cmp.Diff(want, short.Defaults()); diff != "" {
		t.Error(diff)
	}
	whole := parse(t, "profile: whole\nmode: test\nauthorities: [field]\nstrict: true\nkeys: {allow: [p256], reuse: per-device, renew: new-key}\nvalidity: 30d\nbackdate: 1h\noutlive: refuse\n"+
		"subject: [{type: CN, from: device.id}]\nkeyUsage: {use: [digitalSignature], critical: true}\n")
	if got := whole.Defaults(); got != nil {
		t.Errorf("one that says everything relies on %v", got)
	}
}

// TestDiffWidens has edits that may widen in both directions: one value for
// another, or a check less.
func TestDiffWidens(t *testing.T) {
	source, err := os.ReadFile("testdata/language.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before := parse(t, string(source))
	for old, changed := range map[string]string{
		"{type: C, value: AT}":                                "{type: C, value: DE}",
		"{type: serialNumber, from: device.id}":               "{type: OU, from: device.id}",
		"value: FFF1, string: printable":                      "value: FFF1",
		"  - rdn:\n":                                          "  - {type: O, value: x}\n  - rdn:\n",
		"check: hex, as: hex}}\n    - {upn":                   "check: hex}}\n    - {upn",
		"{ia5: {from: device.id}}":                            "{utf8: {from: device.id}}",
		"{registeredID: 1.3.6.1.4.1.32473.9}":                 "{registeredID: 1.3.6.1.4.1.32473.8}",
		"{type: O, from: tenant.organization}":                "{type: OU, from: tenant.organization}",
		"endsWith('.field.example')":                          "endsWith('.example')",
		"notice: Devices only":                                "notice: Devices",
		"{boolean: true}":                                     "{boolean: false}",
		`{explicit: {tag: 0, of: {utf8: {from: r`:             `{explicit: {tag: 4, of: {utf8: {from: r`,
		"{bits: {value: \"8001\", as: hex}}":                  "{octets: {value: \"8001\", as: hex}}",
		"{printable: {from: product_line.name, check: name}}": "{printable: {from: lot.name, check: name}}",
		"32473.20, critical: true":                            "32473.20, critical: false",
		"  - {oid: 1.3.6.1.4.1.32473.20, critical: true, asn1: {der: \"0500\"}}\n": "", // it may have been one that restricts
		"    - {dns: {from: \"device.id.lowerAscii() + '.meters.example'\"}}\n":    "", // who had no device was refused
		"{implicit: {tag: 2, of: {sequence":                                        "{explicit: {tag: 2, of: {sequence",
		"    - {dns: fixed.example}\n":                                             "    - {dns: fixed.example}\n    - {dns: other.example}\n    - {dns: {from: csr.san.dns}}\n",
		"matches('^[0-9a-f]{16}$')":                                                "matches('^[0-9a-f]*$')",
		"check: name, optional: true}\nsan":                                        "check: name, pattern: \"G.*\", optional: true}\nsan",
	} {
		if strings.Count(string(source), old) != 1 {
			t.Fatalf("%q stands %d times", old, strings.Count(string(source), old))
		}
		after := parse(t, strings.Replace(string(source), old, changed, 1))
		for _, changes := range [][]Change{Diff(before, after), Diff(after, before)} {
			if !Widened(changes) {
				t.Errorf("%q to %q: %v", old, changed, changes)
			}
		}
	}
}

func TestDiffIdentifiers(t *testing.T) {
	before, after := parse(t, minimal), parse(t, strings.Replace(minimal, "[authority]", "[subject, authority]", 1))
	want := []Change{{"keyIdentifiers", "", "subject", Differs}}
	if diff := cmp.Diff(want, Diff(before, after)); diff != "" {
		t.Error(diff)
	}
}

// TestDiffRestrictions: what restricts by being there widens when all of it goes.
func TestDiffRestrictions(t *testing.T) {
	with := func(lines string) *Profile { return parse(t, minimal+lines) }
	for name, row := range map[string]struct{ before, after string }{
		"extendedKeyUsage": {"extendedKeyUsage: {use: [clientAuth]}\n", ""},
		"keyUsage":         {"keyUsage: {use: [digitalSignature]}\n", ""},
		"status":           {"status: {crl: true, ocsp: true}\n", ""},
		"extension":        {"extensions: [{oid: 2.5.29.36, critical: true, asn1: {sequence: [{implicit: {tag: 0, of: {integer: 0}}}]}}]\n", ""},
		"one name twice":   {"san: {names: [{dns: {from: csr.san.dns}}]}\n", "san: {names: [{dns: {from: csr.san.dns}}, {dns: {from: csr.san.dns}}]}\n"},
	} {
		if changes := Diff(with(row.before), with(row.after)); !Widened(changes) {
			t.Errorf("%s: %v", name, changes)
		}
	}
	for _, line := range []string{"extendedKeyUsage: {use: [clientAuth]}\n", "keyUsage: {use: [digitalSignature]}\n", "status: {crl: true, ocsp: true}\n"} {
		if changes := Diff(with(""), with(line)); len(changes) == 0 || Widened(changes) {
			t.Errorf("with %q: %v", line, changes)
		}
	}
}

func TestDiffConstraints(t *testing.T) {
	ca := func(more string) *Profile {
		return parse(t, strings.Replace(minimal, "[authority]", "[subject]", 1)+"keyUsage: {use: [keyCertSign]}\nbasicConstraints: {ca: true"+more+"\n")
	}
	free, none, two := ca("}"), ca(", pathLength: 0}"), ca(", pathLength: 2}")
	constrained := ca("}\nnameConstraints: {permitted: [{dns: example.com}]}")
	for _, row := range []struct {
		before, after *Profile
		want          Effect
	}{
		{free, none, Narrows}, {none, free, Widens}, {none, two, Widens}, {two, none, Narrows},
		{free, constrained, Narrows}, {constrained, free, Widens},
		{constrained, ca("}\nnameConstraints: {permitted: [{dns: example.org}]}"), Widens},
	} {
		if changes := Diff(row.before, row.after); len(changes) != 1 || changes[0].Effect != row.want {
			t.Errorf("%v, want %s", changes, row.want)
		}
	}
}

// TestDiffIsRead: whoever approves a version reads values, not their encoding.
func TestDiffIsRead(t *testing.T) {
	ca := func(more string) *Profile {
		return parse(t, strings.Replace(minimal, "[authority]", "[subject]", 1)+"keyUsage: {use: [keyCertSign]}\nbasicConstraints: {ca: true}\n"+more)
	}
	with := func(more string) *Profile { return parse(t, minimal+more) }
	for name, row := range map[string]struct {
		before, after *Profile
		want          []Change
	}{
		"name constraints": {
			ca("nameConstraints: {permitted: [{dns: example.com}]}\n"), ca("nameConstraints: {permitted: [{dns: example.com}, {ip: 10.0.0.0/8}], excluded: [{dns: a.example.com}]}\n"),
			[]Change{{"nameConstraints", "permitted dns example.com", "permitted dns example.com, permitted ip 10.0.0.0 mask 255.0.0.0, excluded dns a.example.com", Widens}},
		},
		"an extension with a name": {
			with(""), with("extensions: [{oid: 2.5.29.54, critical: true, asn1: {integer: {value: \"0\"}}}, {oid: 1.3.6.1.4.1.32473.21, asn1: {sequence: [{utf8: {value: x}}, {boolean: true}]}}]\n"),
			[]Change{{"extensions", "", "2.5.29.54 critical INTEGER 0", Widens}, {"extensions", "", `1.3.6.1.4.1.32473.21 SEQUENCE{UTF8 "x", BOOLEAN true}`, Widens}},
		},
		"a value that varies": {
			with(""), with("extensions: [{oid: 1.3.6.1.4.1.32473.21, asn1: {sequence: [{printable: {from: tenant.organization}}, {explicit: {tag: 2, of: {ia5: {value: x}}}}]}}]\n"),
			[]Change{{"extensions", "", `1.3.6.1.4.1.32473.21 SEQUENCE{Printable from tenant.organization, [2]{IA5 "x"}}`, Widens}},
		},
		"a registered ID": {
			with(""), with("san: {names: [{registeredID: 1.3.6.1.4.1.32473.9}]}\n"),
			[]Change{{"san.names", "", "registeredID 1.3.6.1.4.1.32473.9", Widens}},
		},
		"why an exception is": {
			with("lint: {except: [{rule: e_ext_san_empty_name, because: one}]}\n"), with("lint: {except: [{rule: e_ext_san_empty_name, because: two}]}\n"),
			[]Change{{"lint.except.because", "one", "two", Differs}},
		},
	} {
		if diff := cmp.Diff(row.want, Diff(row.before, row.after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestDiffTells: no two values have one text, so that what an approver is not shown is
// no difference.
func TestDiffTells(t *testing.T) {
	in := func(before, value, after string) string { return minimal + before + value + after }
	for name, row := range map[string]struct {
		around        [2]string
		before, after string
	}{
		"true":               {[2]string{"extensions: [{oid: 1.3.6.1.4.1.32473.1, asn1: {der: \"", "\"}}]\n"}, "0101ff", "010101"},
		"an integer":         {[2]string{"extensions: [{oid: 1.3.6.1.4.1.32473.1, asn1: {der: \"", "\"}}]\n"}, "020105", "02020005"},
		"application":        {[2]string{"extensions: [{oid: 1.3.6.1.4.1.32473.1, asn1: {der: \"", "\"}}]\n"}, "8101aa", "4101aa"},
		"private":            {[2]string{"extensions: [{oid: 1.3.6.1.4.1.32473.1, asn1: {der: \"", "\"}}]\n"}, "c10141", "810141"},
		"surrogates":         {[2]string{"extensions: [{oid: 1.3.6.1.4.1.32473.1, asn1: {der: \"", "\"}}]\n"}, "1e02d800", "1e02fffd"},
		"within what varies": {[2]string{"extensions: [{oid: 1.3.6.1.4.1.32473.1, asn1: {sequence: [{utf8: {from: tenant.organization}}, {der: \"", "\"}]}}]\n"}, "0101ff", "010101"},
		"an otherName":       {[2]string{"san: {names: [{otherName: {type: 1.3.6.1.4.1.32473.2, asn1: {der: \"", "\"}}}]}\n"}, "020105", "02020005"},
		"a comment":          {[2]string{"extensions: [{oid: 1.3.6.1.4.1.32473.1, asn1: {utf8: {", "}}}]\n"}, "from: \"tenant.organization //\", check: name", "from: \"tenant.organization //, check name\""},
	} {
		before, after := parse(t, in(row.around[0], row.before, row.around[1])), parse(t, in(row.around[0], row.after, row.around[1]))
		for _, changes := range [][]Change{Diff(before, after), Diff(after, before)} {
			if len(changes) != 2 || !Widened(changes) || changes[0].Before == changes[1].After {
				t.Errorf("%s: %q", name, changes)
			}
		}
	}
}

func TestLonger(t *testing.T) {
	for _, row := range []struct {
		before, after string
		want          Effect
	}{
		{"1y", "12mo", Differs}, {"1y", "365d", Narrows}, {"365d", "1y", Widens}, {"1y", "366d", Widens},
		{"4y", "1461d", Widens}, {"1461d", "4y", Narrows}, // longer from 2097 to 2101
		{"1mo", "31d", Widens}, {"31d", "1mo", Narrows}, {"90d", "1h", Narrows}, {"1d", "24h", Differs},
	} {
		before, err := parsePeriod(row.before)
		if err != nil {
			t.Fatal(err)
		}
		after, err := parsePeriod(row.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := longer(before, after); got != row.want {
			t.Errorf("%s to %s: %s, want %s", row.before, row.after, got, row.want)
		}
	}
}
