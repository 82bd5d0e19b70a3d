package certdump

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestExtension prints values that the golden dumps of policy have not: those of
// others' certificates, and those that are not what their name says.
func TestExtension(t *testing.T) {
	for name, tt := range map[string]struct {
		oid, value string
		want       string
	}{
		"a CA":                       {der.OIDBasicConstraints, "\x30\x03\x01\x01\xff", "basicConstraints CA:TRUE"},
		"no check, damaged":          {der.OIDOCSPNoCheck, "\x05\x01\x00", "ocspNoCheck 050100"},
		"policies, damaged":          {der.OIDCertificatePolicies, "\x30\x04\x30\x02\x05\x00", "certificatePolicies SEQUENCE{SEQUENCE{NULL}}"},
		"a point by relative name":   {der.OIDCRLDistributionPoints, "\x30\x06\x30\x04\xa0\x02\xa1\x00", "cRLDistributionPoints SEQUENCE{SEQUENCE{[0]{[1]{}}}}"},
		"authority key id, of three": {der.OIDAuthorityKeyIdentifier, "\x30\x06\x80\x01\x07\x82\x01\x05", "authorityKeyIdentifier SEQUENCE{[0] 07, [2] 05}"},
		"an address space":           {der.OIDNameConstraints, "\x30\x10\xa0\x0c\x30\x0a\x87\x08\x0a\x00\x00\x00\xff\x00\x00\x00\xa1\x00", "nameConstraints permitted ip 10.0.0.0 mask 255.0.0.0"},
		"unknown text":               {"1.2.3", "\x16\x02ab", `1.2.3 IA5 "ab"`},
		"unknown, not DER":           {"1.2.3", "\x16\x09ab", "1.2.3 16096162"},
		"integers":                   {"1.2.3", "\x30\x0c\x02\x02\xff\x7f\x0a\x01\x05\x01\x01\x00\x05\x00", "1.2.3 SEQUENCE{INTEGER -129, ENUMERATED 5, BOOLEAN false, NULL}"},
		"a long integer":             {"1.2.3", "\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", "1.2.3 INTEGER 0x010000000000000000"},
		"an integer too long":        {"1.2.3", "\x02\x02\x00\x05", "1.2.3 INTEGER 0x0005"},
		"true in BER":                {"1.2.3", "\x01\x01\x01", "1.2.3 BOOLEAN 0x01"},
		"BMP":                        {"1.2.3", "\x1e\x04\x00M\x00\xe4", `1.2.3 BMP "Mä"`},
		"BMP, a surrogate":           {"1.2.3", "\x1e\x02\xd8\x00", "1.2.3 BMP 0xd800"},
		"classes":                    {"1.2.3", "\x47\x01a\x87\x01a\xc7\x01a\x07\x01a", `1.2.3 [APPLICATION 7] "a", [7] "a", [PRIVATE 7] "a", [UNIVERSAL 7] "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, text := Extension(tt.oid, []byte(tt.value))
			if diff := cmp.Diff(tt.want, got+" "+text); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestName prints names whose values have other string types than their attributes'
// default, which nothing else in a dump tells from those that have it.
func TestName(t *testing.T) {
	for name, tt := range map[string]struct {
		name tbs.Name
		want string
	}{
		"empty": {nil, "(empty)"},
		"defaults": {
			tbs.Name{{OID: der.OIDCountry, Type: tbs.PrintableString, Value: "AT"}, {OID: der.OIDDomainComponent, Type: tbs.IA5String, Value: "example"}, {OID: der.OIDCommonName, Value: "m"}},
			"CN=m,DC=example,C=AT",
		},
		"printable": {tbs.Name{{OID: der.OIDCommonName, Type: tbs.PrintableString, Value: "m"}}, "CN(printable)=m"},
		"IA5":       {tbs.Name{{OID: der.OIDUserID, Type: tbs.IA5String, Value: "m"}}, "UID(ia5)=m"},
		"UTF8":      {tbs.Name{{OID: der.OIDSerialNumber, Value: "m"}}, "serialNumber(utf8)=m"},
		"in one RDN": {
			tbs.Name{{OID: der.OIDOrganization, Value: "o"}, {OID: der.OIDCommonName, Type: tbs.PrintableString, Value: "m"}, {OID: der.OIDSerialNumber, Type: tbs.PrintableString, Value: "1", Joined: true}},
			"CN(printable)=m+serialNumber=1,O=o",
		},
		"without a short name": {tbs.Name{{OID: "1.3.6.1.4.1.37244.2.1", Type: tbs.PrintableString, Value: "FFF1"}}, "1.3.6.1.4.1.37244.2.1=#130446464631"},
		"not by its value":     {tbs.Name{{OID: der.OIDCommonName, Value: "CN(printable)=m"}}, "CN=CN(printable)=m"},
	} {
		if diff := cmp.Diff(tt.want, orEmpty(tt.name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	const directory = "\x30\x11\xa4\x0f\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x13\x02ab"
	if _, got := Extension(der.OIDSubjectAltName, []byte(directory)); got != "directoryName CN(printable)=ab" {
		t.Errorf("in a general name: %s", got)
	}
}

func TestTextRefuses(t *testing.T) {
	if _, err := Text([]byte("\x30\x00")); err == nil {
		t.Error("nothing is printed as a certificate")
	}
}

// TestOutlineTells: elements of every tag, with contents that look like each other in
// one type or another, have outlines of their own.
func TestOutlineTells(t *testing.T) {
	contents := []string{
		"", "\x00\x00", "\x00\x05", "\x00\xff", "\xff\xff", "\xff\x7f", "\x01\x00", "\xd8\x00", "\xff\xfd", "\xdc\x00", "\x20\x2e", "\xef\xbf\xbd",
		"ab", "\x00a\x00b", "abc", "12", "0x31", "false", "\\x80", "\x11\x22\x33\x44\x55\x66\x77\x88\x99",
		"\x01\x8e\xf7\x87\x90\x13\x5c\xd3", // 112233445566778899, which the one before is in hexadecimal
		"\x2a\x03", "\x80\x01", "\x2a\x80\x01", "\x02\x01\x05", "\x02\x02\x00\x05", "\x01\x01\xff\x05\x00",
	}
	for b := range 256 {
		contents = append(contents, string([]byte{byte(b)}))
	}
	seen := map[string]string{}
	for tag := range 256 {
		for _, content := range contents {
			encoded := string(append([]byte{byte(tag), byte(len(content))}, content...))
			text := Outline([]byte(encoded))
			if other, ok := seen[text]; ok {
				t.Fatalf("%x and %x are both %s", other, encoded, text)
			}
			seen[text] = encoded
		}
	}
}

// FuzzOutline looks for two encodings of one outline.
func FuzzOutline(f *testing.F) {
	f.Add([]byte("\x1e\x02\xd8\x00"), []byte("\x1e\x02\xff\xfd"))
	f.Add([]byte("\x30\x03\x02\x01\x05"), []byte("\x30\x04\x02\x02\x00\x05"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if text := Outline(a); text == Outline(b) && !bytes.Equal(a, b) {
			t.Fatalf("%x and %x are both %s", a, b, text)
		}
	})
}

// FuzzText looks for panics, and for dumps of more than one line an extension.
func FuzzText(f *testing.F) {
	f.Add([]byte("\x30\x03\x02\x01\x05"), der.OIDSubjectAltName)
	f.Fuzz(func(t *testing.T, value []byte, oid string) {
		_, text := Extension(oid, value)
		for _, r := range text {
			if r == '\n' {
				t.Fatalf("%q", text)
			}
		}
		Outline(value)
	})
}
