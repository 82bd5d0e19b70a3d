package policy

import (
	"bytes"
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
