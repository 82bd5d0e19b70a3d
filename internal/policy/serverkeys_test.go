package policy

import (
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func withServerKeys(line string) string { return minimal + line + "\n" }

func TestServerKeys(t *testing.T) {
	for line, want := range map[string]struct{ made, plain bool }{
		"strict: false":                       {false, false},
		"serverKeys: {}":                      {true, false},
		"serverKeys: {plain: false}":          {true, false},
		"serverKeys: {plain: true}":           {true, true},
		"serverKeys: {for: [device, a-role]}": {true, false},
	} {
		if made, plain := parse(t, withServerKeys(line)).ServerKeys(); made != want.made || plain != want.plain {
			t.Errorf("%s: %t, %t", line, made, plain)
		}
	}
}

// TestServerKeysRefused has one wrong document a row.
func TestServerKeysRefused(t *testing.T) {
	for line, want := range map[string]string{
		"serverKeys: true":                    "mapping is expected",
		"serverKeys: {plain: yes please}":     "needed here",
		"serverKeys: {store: true}":           "unknown",
		"serverKeys: {for: [A Role]}":         "named by a role",
		"serverKeys: {for: [device, device]}": "said twice",
		"serverKeys: {for: [auditor]}":        "enrols nobody",
		"serverKeys: {plain: true}\nbasicConstraints: {ca: true}\nkeyUsage: {use: [keyCertSign]}\nkeyIdentifiers: [subject]": "keystore",
		"serverKeys: {plain: true}\nextendedKeyUsage: {use: [OCSPSigning]}":                                                  "OCSP responders",
		"serverKeys: {plain: true}\npair: other":                                                                             "both keys of a pair",
		"serverKeys: {plain: true}\napprovals: {steps: [1 of ra-operator]}":                                                  "until an enrolment is approved",
	} {
		source := withServerKeys(line)
		if strings.Contains(line, "keyIdentifiers") {
			source = strings.Replace(source, "keyIdentifiers: [authority]\n", "", 1)
		}
		_, err := Parse([]byte(source))
		if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), want) {
			t.Errorf("%s: %v; want %s", line, err, want)
		}
	}
}

// TestCheckServerKey: who may have a key, and how.
func TestCheckServerKey(t *testing.T) {
	for _, test := range []struct {
		line, role string
		sealed     bool
		want       string
	}{
		{"strict: false", "device", true, "no keys made here"},
		{"serverKeys: {}", "device", true, ""},
		{"serverKeys: {}", "device", false, "encrypted alone"},
		{"serverKeys: {plain: true}", "device", false, ""},
		{"serverKeys: {plain: true, for: [device]}", "device", false, ""},
		{"serverKeys: {plain: true, for: [device]}", "ra-operator", true, "for device, and for nobody else"},
		{"serverKeys: {plain: true, for: [device]}", "", true, "for nobody else"},
	} {
		err := parse(t, withServerKeys(test.line)).CheckServerKey(test.role, test.sealed)
		if test.want == "" && err != nil || test.want != "" && (pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), test.want)) {
			t.Errorf("%s for %q, sealed %t: %v; want %q", test.line, test.role, test.sealed, err, test.want)
		}
	}
}

func TestServerKeyKind(t *testing.T) {
	p := parse(t, strings.Replace(minimal, "[p256]", "[p384, p256, rsa3072+]", 1))
	for asked, want := range map[pki.KeyKind]pki.KeyKind{
		pki.P256: pki.P256, pki.P384: pki.P384, pki.RSA4096: pki.RSA4096, pki.RSA2048: pki.P384, pki.Ed25519: pki.P384, "rsa5000": pki.P384,
	} {
		if got := p.ServerKeyKind(asked); got != want {
			t.Errorf("%s: %s, want %s", asked, got, want)
		}
	}
}

// TestServerKeysDiff: who may have more keys, or have them with less, is told as wider.
func TestServerKeysDiff(t *testing.T) {
	for _, test := range []struct {
		before, after string
		want          Change
	}{
		{"strict: false", "serverKeys: {plain: true}", Change{"serverKeys", "", "there", Widens}},
		{"serverKeys: {plain: true}", "strict: false", Change{"serverKeys", "there", "", Narrows}},
		{"serverKeys: {}", "serverKeys: {plain: true}", Change{"serverKeys.plain", "", "true", Widens}},
		{"serverKeys: {plain: true}", "serverKeys: {}", Change{"serverKeys.plain", "true", "", Narrows}},
		{"serverKeys: {}", "serverKeys: {for: [device]}", Change{"serverKeys.for", "any", "device", Narrows}},
		{"serverKeys: {for: [device]}", "serverKeys: {}", Change{"serverKeys.for", "device", "any", Widens}},
		{"serverKeys: {for: [device]}", "serverKeys: {for: [device, ra-operator]}", Change{"serverKeys.for", "", "ra-operator", Widens}},
	} {
		changes := Diff(parse(t, withServerKeys(test.before)), parse(t, withServerKeys(test.after)))
		if len(changes) != 1 || changes[0] != test.want {
			t.Errorf("%s, then %s: %+v", test.before, test.after, changes)
		}
	}
}
