package tbs

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// TestExtensions has the bytes of the forms that no certificate of the other tests
// has.
func TestExtensions(t *testing.T) {
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"no CA":             {BasicConstraints(false, 3), "\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00"},
		"CA":                {BasicConstraints(true, -1), "\x30\x0f\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x05\x30\x03\x01\x01\xff"},
		"CA, path length 0": {BasicConstraints(true, 0), "\x30\x12\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x08\x30\x06\x01\x01\xff\x02\x01\x00"},
		"no check":          {OCSPNoCheck(), "\x30\x0f\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x05\x04\x02\x05\x00"},
		"key identifier":    {AuthorityKeyID([]byte{7, 8}), "\x30\x0d\x06\x03\x55\x1d\x23\x04\x06\x30\x04\x80\x02\x07\x08"},
		"no access":         {AuthorityInfoAccess("", ""), ""},
		"OCSP alone":        {AuthorityInfoAccess("u:", ""), "\x30\x1e\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x01\x04\x12\x30\x10\x30\x0e\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x01\x86\x02u:"},
		"issuer alone":      {AuthorityInfoAccess("", "u:"), "\x30\x1e\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x01\x04\x12\x30\x10\x30\x0e\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x02u:"},
		"no revocation":     {NoRevAvail(), "\x30\x09\x06\x03\x55\x1d\x38\x04\x02\x05\x00"},
		"policies": {
			must(t)(CertificatePolicies(true, Policy{OID: "1.2.3", CPS: "u:", Notice: "ä"}, Policy{OID: "1.2.4"})),
			string(seq(der.MustOID(der.OIDCertificatePolicies), []byte(asn1True), node(asn1.OCTET_STRING, seq(
				seq(der.MustOID("1.2.3"), seq(
					seq(der.MustOID("1.3.6.1.5.5.7.2.1"), node(asn1.IA5String, []byte("u:"))),
					seq(der.MustOID("1.3.6.1.5.5.7.2.2"), seq(node(asn1.UTF8String, []byte("ä"))))),
				), seq(der.MustOID("1.2.4")))))),
		},
		"critical usage": {must(t)(ExtendedKeyUsage(true, "1.2.3")), "\x30\x10\x06\x03\x55\x1d\x25\x01\x01\xff\x04\x06\x30\x04\x06\x02\x2a\x03"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(tt.got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	e, err := parseExtension(must(t)(RawExtension("1.2.3", true, []byte{5, 0})))
	if diff := cmp.Diff(Extension{OID: "1.2.3", Critical: true, Value: []byte{5, 0}}, e); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestExtensionsRefuse(t *testing.T) {
	for name, encode := range map[string]func() ([]byte, error){
		"no purpose":   func() ([]byte, error) { return ExtendedKeyUsage(false) },
		"purpose":      func() ([]byte, error) { return ExtendedKeyUsage(false, der.OIDClientAuth, "clientAuth") },
		"no policy":    func() ([]byte, error) { return CertificatePolicies(false) },
		"policy":       func() ([]byte, error) { return CertificatePolicies(false, Policy{OID: "1"}) },
		"policy twice": func() ([]byte, error) { return CertificatePolicies(false, Policy{OID: "1.2"}, Policy{OID: "1.2"}) },
		"statement":    func() ([]byte, error) { return CertificatePolicies(false, Policy{OID: "1.2", CPS: "here"}) },
		"long notice": func() ([]byte, error) {
			return CertificatePolicies(false, Policy{OID: "1.2", Notice: strings.Repeat("ä", 201)})
		},
		"no constraints": func() ([]byte, error) { return NameConstraints(nil, nil) },
		"wildcard":       func() ([]byte, error) { return NameConstraints([]Subtree{{Kind: DNSName, Base: "*.example"}}, nil) },
		"host bits":      func() ([]byte, error) { return NameConstraints([]Subtree{{Kind: IPAddress, Base: "10.0.0.1/8"}}, nil) },
		"mail without @": func() ([]byte, error) { return NameConstraints([]Subtree{{Kind: Email, Base: "@"}}, nil) },
		"hardware name":  func() ([]byte, error) { return NameConstraints([]Subtree{{Kind: HardwareModuleName, Base: "a"}}, nil) },
		"no directory":   func() ([]byte, error) { return NameConstraints([]Subtree{{Kind: OtherGeneralName}}, nil) },
		"raw identifier": func() ([]byte, error) { return RawExtension("x", false, nil) },
	} {
		if b, err := encode(); err == nil {
			t.Errorf("%s: %x", name, b)
		}
	}
}

// TestNameConstraints holds the encoder against that of crypto/x509 for the forms
// that it writes, and against crypto/x509's reader.
func TestNameConstraints(t *testing.T) {
	prefix := func(text string) *net.IPNet {
		_, n, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	signer := newSigner(t, pki.P256)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"meters.example"}, ExcludedDNSDomains: []string{"secret.meters.example"},
		PermittedIPRanges: []*net.IPNet{prefix("10.0.0.0/9"), prefix("2001:db8::/33")}, ExcludedIPRanges: []*net.IPNet{prefix("10.1.2.3/32")},
		PermittedEmailAddresses: []string{"ops@meters.example", ".meters.example"}, PermittedURIDomains: []string{".meters.example"},
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseCertificate(made)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseExtension(must(t)(NameConstraints(
		[]Subtree{
			{Kind: DNSName, Base: "meters.example"}, {Kind: IPAddress, Base: "10.0.0.0/9"}, {Kind: IPAddress, Base: "2001:db8::/33"},
			{Kind: Email, Base: "ops@meters.example"}, {Kind: Email, Base: ".meters.example"}, {Kind: URI, Base: ".meters.example"},
		},
		[]Subtree{{Kind: DNSName, Base: "secret.meters.example"}, {Kind: IPAddress, Base: "10.1.2.3/32"}},
	)))
	if diff := cmp.Diff(parsed.Extension(der.OIDNameConstraints), &got); diff != "" || err != nil {
		t.Errorf("%v (-crypto/x509 +got):\n%s", err, diff)
	}

	directory := must(t)(Name{{OID: der.OIDOrganization, Value: "Meters"}}.Append(nil))
	only := must(t)(NameConstraints(nil, []Subtree{{Kind: OtherGeneralName, Name: directory}}))
	if e, _ := parseExtension(only); string(e.Value) != string(seq(node(der.Explicit(1), seq(node(der.Explicit(4), directory))))) {
		t.Errorf("directoryName: %x", e.Value)
	}
	if mask := maskOf(netip.MustParsePrefix("0.0.0.0/0")); string(mask) != "\x00\x00\x00\x00" {
		t.Errorf("mask of all addresses: %x", mask)
	}
}
