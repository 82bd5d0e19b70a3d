package certdump

import (
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
		"a long integer":             {"1.2.3", "\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", "1.2.3 INTEGER 010000000000000000"},
		"BMP":                        {"1.2.3", "\x1e\x04\x00M\x00\xe4", `1.2.3 BMP "Mä"`},
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
