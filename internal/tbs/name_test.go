package tbs

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

func TestName(t *testing.T) {
	for _, tt := range []struct {
		name Name
		text string // RFC 4514
	}{
		{nil, ""},
		{Name{{OID: der.OIDCommonName, Value: "meter"}}, "CN=meter"},
		{
			Name{
				{OID: der.OIDCountry, Type: PrintableString, Value: "AT"},
				{OID: der.OIDOrganization, Value: "Zähler, Söhne + Co"},
				{OID: der.OIDSerialNumber, Type: PrintableString, Value: "M-1"},
			},
			`serialNumber=M-1,O=Zähler\, Söhne \+ Co,C=AT`,
		},
		{
			Name{
				{OID: der.OIDDomainComponent, Type: IA5String, Value: "example"},
				{OID: der.OIDCommonName, Value: ` #a"b\c;d<e>f `},
			},
			`CN=\ #a\"b\\c\;d\<e\>f\ ,DC=example`,
		},
		{Name{{OID: der.OIDCommonName, Value: "#1\n"}}, `CN=\#1\0a`},
		{Name{{OID: "1.3.6.1.4.1.37244.2.1", Value: "FFF1"}}, "1.3.6.1.4.1.37244.2.1=#0c0446464631"}, // Matter VID
		{
			Name{
				{OID: der.OIDOrganization, Value: "Zähler"},
				{OID: der.OIDCommonName, Value: "m"},
				{OID: der.OIDSerialNumber, Type: PrintableString, Value: "M", Joined: true},
				{OID: "1.3.6.1.4.1.32473.1", Value: "longer", Joined: true},
				{OID: der.OIDOrganizationalUnit, Value: "end"},
			},
			"OU=end,CN=m+serialNumber=M+1.3.6.1.4.1.32473.1=#0c066c6f6e676572,O=Zähler",
		},
	} {
		t.Run(tt.text, func(t *testing.T) {
			encoded := must(t)(tt.name.Append([]byte("before")))[len("before"):]
			if got := tt.name.String(); got != tt.text {
				t.Errorf("text %s, want %s", got, tt.text)
			}
			got, err := ParseName(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.name, got); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
			var rdns pkix.RDNSequence
			if rest, err := asn1.Unmarshal(encoded, &rdns); err != nil || len(rest) > 0 {
				t.Fatalf("encoding/asn1: %v", err)
			}
			var other Name
			for _, rdn := range rdns {
				for i, a := range rdn {
					other = append(other, Attribute{OID: a.Type.String(), Value: a.Value.(string), Joined: i > 0})
				}
			}
			untyped := append(Name(nil), tt.name...)
			for i := range untyped {
				untyped[i].Type = 0
			}
			if diff := cmp.Diff(untyped, other); diff != "" {
				t.Errorf("encoding/asn1 (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNameGet(t *testing.T) {
	n := Name{{OID: der.OIDCommonName, Value: "first"}, {OID: der.OIDCommonName, Value: "second"}}
	if got := n.Get(der.OIDCommonName); got != "first" {
		t.Errorf("got %q", got)
	}
	if got := n.Get(der.OIDSerialNumber); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestNameAppendRefuses(t *testing.T) {
	for name, a := range map[string]Attribute{
		"empty":                   {OID: der.OIDCommonName},
		"no UTF-8":                {OID: der.OIDCommonName, Value: "\xff"},
		"CN of 65 characters":     {OID: der.OIDCommonName, Value: strings.Repeat("ä", 65)},
		"O of 65 characters":      {OID: der.OIDOrganization, Value: strings.Repeat("o", 65)},
		"country of 3 characters": {OID: der.OIDCountry, Type: PrintableString, Value: "AUT"},
		"country of 1 character":  {OID: der.OIDCountry, Type: PrintableString, Value: "A"},
		"country as UTF8String":   {OID: der.OIDCountry, Value: "AT"},
		"serial as UTF8String":    {OID: der.OIDSerialNumber, Value: "1"},
		"serial not printable":    {OID: der.OIDSerialNumber, Type: PrintableString, Value: "1_2"},
		"serial with an asterisk": {OID: der.OIDSerialNumber, Type: PrintableString, Value: "*"},
		"CN as IA5String":         {OID: der.OIDCommonName, Type: IA5String, Value: "cn"},
		"DC as PrintableString":   {OID: der.OIDDomainComponent, Type: PrintableString, Value: "example"},
		"email not IA5":           {OID: der.OIDEmailAddress, Type: IA5String, Value: "ä@example.com"},
		"no identifier":           {OID: "2.5.4.x", Value: "v"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Name{a}.Append(nil)
			wantKind(t, err, pki.PolicyRefused)
		})
	}
	_, err := Name{{OID: der.OIDCommonName, Value: "a"}, {OID: der.OIDCommonName, Value: "b", Joined: true}}.Append(nil)
	wantKind(t, err, pki.PolicyRefused)
	if _, err := (Name{{OID: der.OIDCommonName, Type: 3, Value: "v"}}).Append(nil); err == nil {
		t.Error("a string type that is none is accepted")
	}
	if _, err := (Name{{OID: der.OIDCommonName, Value: strings.Repeat("ä", 64)}}).Append(nil); err != nil {
		t.Errorf("64 characters of two octets: %v", err)
	}
}

func TestParseNameRefuses(t *testing.T) {
	cn := der.MustOID(der.OIDCommonName)
	attribute := func(tag cbasn1.Tag, value string) []byte { return seq(cn, der.Append(nil, tag, []byte(value))) }
	utf8 := attribute(cbasn1.UTF8String, "v")
	var many [][]byte
	for range maxRDNs + 1 {
		many = append(many, set(utf8))
	}
	for name, encoded := range map[string][]byte{
		"nothing":                {},
		"a set":                  set(set(utf8)),
		"trailing octet":         append(seq(set(utf8)), 0),
		"long form of length":    append([]byte{0x30, 0x81, 12}, seq(set(utf8))[2:]...),
		"indefinite length":      append(append([]byte{0x30, 0x80}, set(utf8)...), 0, 0),
		"empty RDN":              seq(set()),
		"the same value twice":   seq(set(utf8, utf8)),
		"one type twice":         seq(set(utf8, attribute(cbasn1.UTF8String, "w"))),
		"RDN out of order":       seq(set(attribute(cbasn1.UTF8String, "vv"), seq(der.MustOID(der.OIDSerialNumber), der.Append(nil, cbasn1.UTF8String, []byte("v"))))),
		"third field":            seq(set(seq(utf8[2:], utf8))),
		"no value":               seq(set(seq(cn))),
		"no identifier":          seq(set(seq(utf8[7:]))),
		"T61String":              seq(set(attribute(cbasn1.T61String, "v"))),
		"BMPString":              seq(set(attribute(30, "\x00v"))),
		"NumericString":          seq(set(attribute(18, "1"))),
		"empty value":            seq(set(attribute(cbasn1.UTF8String, ""))),
		"UTF8String not UTF-8":   seq(set(attribute(cbasn1.UTF8String, "\xc3"))),
		"PrintableString with *": seq(set(attribute(cbasn1.PrintableString, "*"))),
		"IA5String with 0x80":    seq(set(attribute(cbasn1.IA5String, "\x80"))),
		"65 RDNs":                seq(many...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseName(encoded)
			wantKind(t, err, pki.Malformed)
			wantKind(t, checkName(encoded), pki.Malformed)
		})
	}
}

// TestStringTypeSays: which character of a value its string type does not have.
func TestStringTypeSays(t *testing.T) {
	for _, tt := range []struct {
		of    StringType
		value string
		want  string // "" is a value of the type
	}{
		{PrintableString, "SM-000001 (a+b)", ""},
		{IA5String, "a_b@example.com", ""},
		{UTF8String, "Zähler", ""},
		{UTF8String, "", "is empty"},
		{PrintableString, "SM_1", "has the character '_', which is outside its string type, PrintableString"},
		{PrintableString, "Zähler_1", `has the character '\u00e4', which is outside its string type, PrintableString`},
		{PrintableString, "a\x00", `has the character '\x00', which`},
		{PrintableString, "a\xff", `has the character '\ufffd', which`},
		{IA5String, "Zähler", `has the character '\u00e4', which is outside its string type, IA5String`},
		{UTF8String, "a\xff", "is not UTF-8"},
	} {
		if got := tt.of.refuses([]byte(tt.value)); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s %q %s; want %s", tt.of, tt.value, got, tt.want)
		}
	}
	name := Name{{OID: der.OIDSerialNumber, Type: PrintableString, Value: "SM_1"}}
	if _, err := name.Append(nil); !strings.HasPrefix(pki.DetailOf(err), "subject attribute serialNumber: the value has the character '_'") {
		t.Error(err)
	}
}
