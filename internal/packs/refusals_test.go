package packs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/certdump"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestWrongKey asks each end-entity profile for a key of each kind that it does not
// allow.
func TestWrongKey(t *testing.T) {
	for _, name := range packs.Names() {
		p := get(t, name)
		tr := grow(t, p)
		for _, leaf := range leaves(t, p) {
			profile := profileOf(t, p, leaf, nil)
			for _, kind := range []pki.KeyKind{pki.P256, pki.P384, pki.P521, pki.Ed25519, pki.RSA2048} {
				if slices.Contains(profile.KeyKinds(), kind) {
					continue
				}
				if _, err := tr.issue(t, tr.issuerOf(t, leaf), profile, sample(t, leaf, generate(t, kind))); pki.KindOf(err) != pki.BadKey {
					t.Errorf("%s with a key of kind %s: %v", leaf, kind, err)
				}
			}
		}
	}
}

// TestStrayWishes asks each end-entity profile for names that it does not take: a
// second DNS name, an address, a URI, attributes of the subject. None of them gets
// in, whether the profile drops or refuses them.
func TestStrayWishes(t *testing.T) {
	stray := wish{
		tbs.Name{{OID: "2.5.4.10", Value: "Evil"}, {OID: "2.5.4.11", Value: "Evil"}, {OID: "2.5.4.5", Type: tbs.PrintableString, Value: "EVIL"}},
		[]tbs.GeneralName{
			dns("evil.example"), {Kind: tbs.IPAddress, Text: "192.0.2.66"}, {Kind: tbs.Email, Text: "evil@evil.example"},
			{Kind: tbs.HardwareModuleName, HWType: "1.3.6.1.4.1.32473.66", HWSerial: []byte("EVIL")},
		},
	}
	for _, name := range packs.Names() {
		p := get(t, name)
		tr := grow(t, p)
		for _, leaf := range leaves(t, p) {
			if leaf == "device" { // it names itself, on purpose
				continue
			}
			profile := profileOf(t, p, leaf, nil)
			key := generate(t, profile.KeyKinds()[0])
			in := sample(t, leaf, key)
			w := stray
			w.subject = append(slices.Clone(in.CSR.Subject), w.subject...)
			w.names = append(slices.Clone(in.CSR.Names), w.names...)
			in.CSR = w.request(t, key)
			certificate, err := tr.issue(t, tr.issuerOf(t, leaf), profile, in)
			if err != nil {
				if pki.KindOf(err) != pki.PolicyRefused {
					t.Errorf("%s: %v", leaf, err)
				}
				continue
			}
			dump, err := certdump.Text(certificate)
			if err != nil {
				t.Fatal(err)
			}
			if lower := strings.ToLower(dump); strings.Contains(lower, "evil") || strings.Contains(dump, "192.0.2.66") || strings.Contains(dump, "32473.66") {
				t.Errorf("%s:\n%s", leaf, dump)
			}
		}
	}
}

// TestRefusals changes one thing of a sample that the profile accepts.
func TestRefusals(t *testing.T) {
	device := func(id pki.DeviceID) func(*policy.Input) { return func(in *policy.Input) { in.Device = id } }
	attribute := func(name, value string) func(*policy.Input) {
		return func(in *policy.Input) { in.Attributes[name] = value }
	}
	without := func(name string) func(*policy.Input) { return func(in *policy.Input) { delete(in.Attributes, name) } }
	vid, pid := "1.3.6.1.4.1.37244.2.1", "1.3.6.1.4.1.37244.2.2"
	for _, row := range []struct {
		pack, profile, what string
		change              func(*policy.Input)
		wish                tbs.Name
		says                string
	}{
		{"smart-meter", "meter", "no device", device(""), nil, "device.id, which is absent"},
		{"smart-meter", "rni-command", "no device", device(""), nil, "device.id, which is absent"},
		{"smart-meter", "head-end", "no names authorised", func(in *policy.Input) { in.Names = pki.Names{} }, nil, "not authorised"},
		{"tls", "tls-server", "a name of another", func(in *policy.Input) { in.Names.DNS = []string{"other.example"} }, nil, "not authorised"},
		{"ieee-802-1ar-idevid", "idevid", "no device", device(""), nil, "device.id, which is absent"},
		{"ieee-802-1ar-ldevid", "ldevid", "no device", device(""), nil, "device.id, which is absent"},
		{"ieee-2030-5", "ieee2030-5-device", "no device", device(""), nil, "device.id, which is absent"},
		{"wi-sun-fan", "wisun-router", "no octets", device("router 7"), nil, "pattern"},
		{"wi-sun-fan", "wisun-router", "the same octets in another case", device("00124b0001020304"), nil, "pattern"},
		{"wi-sun-fan", "wisun-border-router", "no device", device(""), nil, "device.id, which is absent"},
		{"gb-smart-metering", "gb-signing", "no EUI-64", device(""), nil, "device.id, which is absent"},
		{"gb-smart-metering", "gb-signing", "half an EUI-64", device("00124B00"), nil, "pattern"},
		{"gb-smart-metering", "gb-key-agreement", "an EUI-64 in small digits", device("00124b0001020304"), nil, "pattern"},
		{"gb-smart-metering", "gb-key-agreement", "an EUI-64 with dashes", device("00-12-4B-00-01-02-03-04"), nil, "pattern"},
		{"dlms-suite-1", "dlms1-signing", "no system title", device(""), nil, "device.id, which is absent"},
		{"dlms-suite-1", "dlms1-key-agreement", "seven octets", device("4D4D4D0000BC61"), nil, "pattern"},
		{"dlms-suite-2", "dlms2-signing", "no digits", device("MMM0000012345678"), nil, "pattern"},
		{"matter", "matter-dac", "another VID", nil, tbs.Name{{OID: vid, Value: "FFF2"}}, "vendor id is FFF1"},
		{"matter", "matter-dac", "a VID in small digits", nil, tbs.Name{{OID: vid, Value: "fff1"}}, "vendor id is FFF1"},
		{"matter", "matter-dac", "another PID", nil, tbs.Name{{OID: vid, Value: "FFF1"}, {OID: pid, Value: "8001"}}, "product id is 8000"},
		{"matter", "matter-dac", "no device", device(""), nil, "device.id, which is absent"},
		{"opc-ua", "opcua-device", "no device", device(""), nil, "absent"},
		{"opc-ua", "opcua-device", "no end of a URI", device("SN 7"), nil, "URI"},
		{"iso-15118", "v2g-secc", "no station", device(""), nil, "device.id, which is absent"},
		{"microsoft", "ms-computer", "no SID", without("sid"), nil, "request.attributes.sid, which is absent"},
		{"microsoft", "ms-computer", "the SID of the system", attribute("sid", "S-1-5-18"), nil, "pattern"},
		{"microsoft", "ms-computer-v1", "two SIDs", attribute("sid", "S-1-5-21-1-2-3-4 S-1-5-21-1-2-3-500"), nil, "pattern"},
		{"microsoft", "ms-computer", "a name of another", func(in *policy.Input) { in.Names.DNS = []string{"*.example.net"} }, nil, "not authorised"},
		{"microsoft", "ms-user", "no UPN", without("upn"), nil, "upn"},
		{"microsoft", "ms-user", "another domain", attribute("upn", "ada@evil.example"), nil, "users are of the domain"},
		{"microsoft", "ms-user", "a domain below", attribute("upn", "ada@x.corp.example.com"), nil, "users are of the domain"},
		{"microsoft", "ms-user-v1", "another domain", attribute("upn", "ada@evil.example"), nil, "users are of the domain"},
		{"microsoft", "ms-user", "no SID", without("sid"), nil, "request.attributes.sid, which is absent"},
	} {
		p := get(t, row.pack)
		tr := grow(t, p)
		profile := profileOf(t, p, row.profile, nil)
		key := generate(t, profile.KeyKinds()[len(profile.KeyKinds())-1])
		in := sample(t, row.profile, key)
		if row.wish != nil {
			in.CSR = wish{row.wish, nil}.request(t, key)
		}
		if row.change != nil {
			row.change(in)
		}
		_, err := tr.issue(t, tr.issuerOf(t, row.profile), profile, in)
		if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), row.says) {
			t.Errorf("%s with %s: %v; want %q", row.profile, row.what, err, row.says)
		}
	}
}

// TestParametersRefuse gives values that a standard forbids.
func TestParametersRefuse(t *testing.T) {
	for _, row := range []struct{ pack, parameter, value string }{
		{"matter", "vid", "fff1"}, {"matter", "vid", "0xFFF1"}, {"matter", "pid", "800"},
		{"ieee-2030-5", "policies", "1.3.6.1.4.1.40732.2.1"}, {"ieee-2030-5", "policies", "1.3.6.1.4.1.40732.1.4"}, {"ieee-2030-5", "policies", "2.5.29.32.0"},
		{"ieee-2030-5", "hw-type", "1.3.6.1.4.1.32473."}, {"gb-smart-metering", "policy", "1.2.3], critical: false"},
		{"opc-ua", "product-uri", "tag:Example.com,2026-01:x"}, {"opc-ua", "product-uri", "tag:example.com,2026-01:x' + 'y"},
		{"microsoft", "template", "1.2.3"}, {"microsoft", "major", "0"}, {"microsoft", "domain", "corp.example.com') || true || ('"},
	} {
		p := get(t, row.pack)
		if _, err := p.Source(p.Profiles[0].Name, map[string]string{row.parameter: row.value}); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: %s %q: %v", row.pack, row.parameter, row.value, err)
		}
	}
}

// TestScope binds a DAC profile to an authority that is none of its own.
func TestScope(t *testing.T) {
	tr := grow(t, get(t, "matter"))
	other := *tr.authorities["pai"]
	other.params.Authority = "manufacturing"
	if _, err := tr.issue(t, &other, profileOf(t, tr.pack, "matter-dac", nil), sample(t, "matter-dac", generate(t, pki.P256))); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("a DAC of another authority: %v", err)
	}
}

// TestSize holds what has to fit: ISO 15118-2's certificateType has at most 800 bytes,
// a Matter certificate 600.
func TestSize(t *testing.T) {
	for _, row := range []struct {
		pack string
		most int
	}{{"iso-15118", 800}, {"matter", 600}} {
		p := get(t, row.pack)
		tr := grow(t, p)
		for _, a := range p.Authorities {
			if n := len(tr.authorities[a.Name].der); n > row.most {
				t.Errorf("%s: %d bytes", a.Name, n)
			}
		}
		for _, leaf := range leaves(t, p) {
			if n := len(tr.leaf(t, leaf, "").der); n > row.most {
				t.Errorf("%s: %d bytes", leaf, n)
			}
		}
	}
}
