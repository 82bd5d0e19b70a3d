package tbs

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

var issuerName = Name{
	{OID: "2.5.4.10", Value: "Ümlaut Meters"},
	{OID: "2.5.4.3", Value: "Manufacturing"},
}

// deviceTemplate has every slot and most encoders.
func deviceTemplate(t testing.TB, alg SignatureAlgorithm, issuerKeyID []byte) *Template {
	t.Helper()
	tmpl, err := NewTemplate(TemplateConfig{
		IssuerName: must(t)(issuerName.Append(nil)),
		Algorithm:  alg,
		Parts: []ExtensionPart{
			{Slot: Constant, DER: AuthorityKeyID(issuerKeyID)},
			{Slot: SlotSKI},
			{Slot: SlotKeyUsage, Critical: true},
			{Slot: Constant, DER: must(t)(CertificatePolicies(false, Policy{OID: "1.3.6.1.4.1.32473.2.1"}))},
			{Slot: Constant, DER: BasicConstraints(false, -1)},
			{Slot: Constant, DER: must(t)(ExtendedKeyUsage(false, "1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.32473.3.1"))},
			{Slot: SlotSAN},
			{Slot: SlotCRLDP},
			{Slot: Constant, DER: AuthorityInfoAccess("http://status.example/ocsp/1", "http://status.example/ca/1.cer")},
		},
		CRLDP: []string{"http://status.example/crl/1/0.crl", "http://status.example/crl/1/1.crl"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// deviceContent is a content for deviceTemplate.
func deviceContent(t testing.TB, key PublicKey) *Content {
	t.Helper()
	return &Content{
		Serial:    pki.NewSerial(pki.SerialLong, time.Now()),
		NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		NotAfter:  time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		Subject: must(t)(Name{
			{OID: "2.5.4.10", Value: "Ümlaut Meters"},
			{OID: "2.5.4.5", Type: PrintableString, Value: "METER-0001"},
		}.Append(nil)),
		Key: key,
		SAN: must(t)(AppendGeneralNames(nil, []GeneralName{
			{Kind: DNSName, Text: "meter.example"},
			{Kind: IPAddress, Text: "192.0.2.1"},
			{Kind: IPAddress, Text: "2001:db8::1"},
			{Kind: URI, Text: "urn:device:1"},
			{Kind: Email, Text: "meter@example.com"},
			{Kind: HardwareModuleName, HWType: "1.3.6.1.4.1.32473.1.1", HWSerial: []byte("METER-0001")},
		})),
		KeyUsage: DigitalSignature | KeyAgreement,
	}
}

// fields are the parts of a certificate that the tests compare.
type fields struct {
	Version         int
	Serial          *big.Int
	Issuer, Subject string
	NotBefore       time.Time
	NotAfter        time.Time
	KeyUsage        x509.KeyUsage
	ExtKeyUsage     []x509.ExtKeyUsage
	UnknownUsage    []asn1.ObjectIdentifier
	BasicValid, CA  bool
	SKI, AKI        []byte
	DNS, Email      []string
	IPs             []net.IP
	URIs            []*url.URL
	CRLDP           []string
	OCSP, CAIssuers []string
	Policies        []asn1.ObjectIdentifier
	Critical        []string
}

func fieldsOf(c *x509.Certificate) fields {
	f := fields{
		c.Version, c.SerialNumber, c.Issuer.String(), c.Subject.String(), c.NotBefore, c.NotAfter,
		c.KeyUsage, c.ExtKeyUsage, c.UnknownExtKeyUsage, c.BasicConstraintsValid, c.IsCA,
		c.SubjectKeyId, c.AuthorityKeyId, c.DNSNames, c.EmailAddresses, c.IPAddresses, c.URIs,
		c.CRLDistributionPoints, c.OCSPServer, c.IssuingCertificateURL, c.PolicyIdentifiers, nil,
	}
	for _, e := range c.Extensions {
		if e.Critical {
			f.Critical = append(f.Critical, e.Id.String())
		}
	}
	return f
}

func TestTemplateAgainstX509(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(string(kind), func(t *testing.T) {
			signer := newSigner(t, kind)
			ca := publicKey(t, signer)
			device := publicKey(t, newSigner(t, kind))
			c := deviceContent(t, device)
			tbs := must(t)(deviceTemplate(t, ca.SignatureAlgorithm(), ca.KeyID()).Append(nil, c))
			signature := must(t)(Sign(signer, ca.SignatureAlgorithm(), tbs))
			if err := ca.Verify(ca.SignatureAlgorithm(), tbs, signature); err != nil {
				t.Error(err)
			}
			cert, err := x509.ParseCertificate(AppendSigned(nil, tbs, ca.SignatureAlgorithm(), signature))
			if err != nil {
				t.Fatal(err)
			}
			want := fields{
				Version: 3,
				Serial:  new(big.Int).SetBytes(c.Serial[:]),
				Issuer:  "CN=Manufacturing,O=Ümlaut Meters", Subject: "SERIALNUMBER=METER-0001,O=Ümlaut Meters",
				NotBefore: c.NotBefore, NotAfter: c.NotAfter,
				KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
				ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
				UnknownUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 32473, 3, 1}},
				BasicValid:   true,
				SKI:          device.KeyID(), AKI: ca.KeyID(),
				DNS: []string{"meter.example"}, Email: []string{"meter@example.com"},
				IPs:       []net.IP{net.ParseIP("192.0.2.1").To4(), net.ParseIP("2001:db8::1")},
				URIs:      []*url.URL{{Scheme: "urn", Opaque: "device:1"}},
				CRLDP:     []string{"http://status.example/crl/1/" + string('0'+rune(c.Serial.Shard(2))) + ".crl"},
				OCSP:      []string{"http://status.example/ocsp/1"},
				CAIssuers: []string{"http://status.example/ca/1.cer"},
				Policies:  []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 32473, 2, 1}},
				Critical:  []string{"2.5.29.15", "2.5.29.19"},
			}
			if diff := cmp.Diff(want, fieldsOf(cert), cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
				t.Errorf("certificate (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(device.SPKI(), cert.RawSubjectPublicKeyInfo); diff != "" {
				t.Error(diff)
			}
			issuer := &x509.Certificate{PublicKey: signer.Public(), PublicKeyAlgorithm: cert.PublicKeyAlgorithm}
			if err := issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTemplateSANCriticality checks RFC 5280, 4.2.1.6: critical with an empty
// subject, and by the part's own wish; left out without names.
func TestTemplateSANCriticality(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	names := must(t)(AppendGeneralNames(nil, []GeneralName{{Kind: DNSName, Text: "a.example"}}))
	subject := must(t)(issuerName.Append(nil))
	for _, tt := range []struct {
		name     string
		critical bool
		subject  []byte
		san      []byte
		want     *Extension
	}{
		{"plain", false, subject, names, &Extension{OID: "2.5.29.17", Value: names}},
		{"asked for", true, subject, names, &Extension{OID: "2.5.29.17", Critical: true, Value: names}},
		{"empty subject", false, []byte{0x30, 0}, names, &Extension{OID: "2.5.29.17", Critical: true, Value: names}},
		{"no names", true, subject, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := NewTemplate(TemplateConfig{
				IssuerName: subject, Algorithm: key.SignatureAlgorithm(),
				Parts: []ExtensionPart{{Slot: SlotSKI}, {Slot: SlotSAN, Critical: tt.critical}},
			})
			if err != nil {
				t.Fatal(err)
			}
			c := deviceContent(t, key)
			c.Subject, c.SAN = tt.subject, tt.san
			p, err := ParseTBS(must(t)(tmpl.Append(nil, c)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, p.Extension("2.5.29.17")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestTemplateWithoutExtensions checks that an empty list of extensions is left
// out.
func TestTemplateWithoutExtensions(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	tmpl, err := NewTemplate(TemplateConfig{IssuerName: must(t)(issuerName.Append(nil)), Algorithm: key.SignatureAlgorithm()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseTBS(must(t)(tmpl.Append(nil, deviceContent(t, key))))
	if err != nil || p.Extensions != nil {
		t.Errorf("%v, %v", p.Extensions, err)
	}
}

// TestTemplateShard checks that the CRL distribution point follows the serial.
func TestTemplateShard(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	tmpl := deviceTemplate(t, key.SignatureAlgorithm(), key.KeyID())
	c := deviceContent(t, key)
	for _, last := range []byte{6, 7} {
		c.Serial[16], c.Serial[17], c.Serial[18], c.Serial[19] = 0, 0, 0, last
		want := must(t)(crlDistributionPoint(der.OIDCRLDistributionPoints, false, "http://status.example/crl/1/"+string('0'+rune(last%2))+".crl"))
		if !bytes.Contains(must(t)(tmpl.Append(nil, c)), want) {
			t.Errorf("a serial ending in %d has the other shard's CRL", last)
		}
	}
}

func TestTemplateDates(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	tmpl := deviceTemplate(t, key.SignatureAlgorithm(), key.KeyID())
	c := deviceContent(t, key)
	c.NotBefore = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
	c.NotAfter = time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)
	tbs := must(t)(tmpl.Append(nil, c))
	if want := []byte("\x30\x20\x17\x0d491231235959Z\x18\x0f20500101000000Z"); !bytes.Contains(tbs, want) {
		t.Errorf("%x does not have %q", tbs, want)
	}
}

func TestNewTemplateRefuses(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	good := TemplateConfig{IssuerName: must(t)(issuerName.Append(nil)), Algorithm: key.SignatureAlgorithm()}
	for name, change := range map[string]func(*TemplateConfig){
		"no issuer":          func(c *TemplateConfig) { c.IssuerName = nil },
		"empty issuer":       func(c *TemplateConfig) { c.IssuerName = []byte{0x30, 0} },
		"no algorithm":       func(c *TemplateConfig) { c.Algorithm = SignatureAlgorithm{} },
		"slot twice":         func(c *TemplateConfig) { c.Parts = []ExtensionPart{{Slot: SlotSKI}, {Slot: SlotSKI}} },
		"constant twice":     func(c *TemplateConfig) { c.Parts = []ExtensionPart{{DER: OCSPNoCheck()}, {DER: OCSPNoCheck()}} },
		"no extension":       func(c *TemplateConfig) { c.Parts = []ExtensionPart{{DER: []byte{5, 0}}} },
		"two extensions":     func(c *TemplateConfig) { c.Parts = []ExtensionPart{{DER: append(OCSPNoCheck(), OCSPNoCheck()...)}} },
		"no slot":            func(c *TemplateConfig) { c.Parts = []ExtensionPart{{Slot: 99}} },
		"CRLDP without URL":  func(c *TemplateConfig) { c.Parts = []ExtensionPart{{Slot: SlotCRLDP}} },
		"CRLDP relative URL": func(c *TemplateConfig) { c.Parts, c.CRLDP = []ExtensionPart{{Slot: SlotCRLDP}}, []string{"/0.crl"} },
		"constant as slot": func(c *TemplateConfig) {
			c.Parts = []ExtensionPart{{Slot: SlotSKI}, {DER: must(t)(RawExtension("2.5.29.14", false, []byte{4, 1, 0}))}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			change(&cfg)
			if _, err := NewTemplate(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestTemplateAppendRefuses(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	tmpl := deviceTemplate(t, key.SignatureAlgorithm(), key.KeyID())
	for name, change := range map[string]func(*Content){
		"zero serial":         func(c *Content) { c.Serial = pki.Serial{} },
		"serial of 21 octets": func(c *Content) { c.Serial[0] = 0x80 },
		"fraction":            func(c *Content) { c.NotBefore = c.NotBefore.Add(1) },
		"before 1950":         func(c *Content) { c.NotBefore = time.Time{} },
		"after 9999":          func(c *Content) { c.NotAfter = c.NotAfter.Add(time.Second) },
		"ends before begin":   func(c *Content) { c.NotAfter = c.NotBefore.Add(-time.Second) },
		"no subject":          func(c *Content) { c.Subject = nil },
		"no key":              func(c *Content) { c.Key = nil },
		"no key usage":        func(c *Content) { c.KeyUsage = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			c := deviceContent(t, key)
			change(c)
			_, err := tmpl.Append(nil, c)
			wantKind(t, err, pki.Internal)
		})
	}
}

// TestTemplateAllocations holds the hot path: nothing is allocated where the
// buffers are large enough.
func TestTemplateAllocations(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	alg := key.SignatureAlgorithm()
	tmpl := deviceTemplate(t, alg, key.KeyID())
	c := deviceContent(t, key)
	signature := make([]byte, 72)
	tbs, cert := make([]byte, 0, 2048), make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() {
		b, err := tmpl.Append(tbs, c)
		if err != nil {
			t.Fatal(err)
		}
		AppendSigned(cert, b, alg, signature)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKeyUsage(t *testing.T) {
	for u := KeyUsage(1); u < DecipherOnly<<1; u++ {
		bits := asn1.BitString{Bytes: make([]byte, 2)}
		for i := range 9 {
			if u>>i&1 == 1 {
				bits.Bytes[i/8] |= 0x80 >> (i % 8)
				bits.BitLength = i + 1
			}
		}
		bits.Bytes = bits.Bytes[:(bits.BitLength+7)/8]
		got := u.append(nil)
		if diff := cmp.Diff(must(t)(asn1.Marshal(bits)), got); diff != "" {
			t.Fatalf("%b (-want +got):\n%s", u, diff)
		}
		if back, ok := parseKeyUsage(got); back != u || !ok {
			t.Fatalf("%b is read as %b, %t", u, back, ok)
		}
	}
}

// TestTemplateValues has extensions whose values come with the content.
func TestTemplateValues(t *testing.T) {
	key := publicKey(t, newSigner(t, pki.P256))
	tmpl, err := NewTemplate(TemplateConfig{
		IssuerName: must(t)(issuerName.Append(nil)), Algorithm: key.SignatureAlgorithm(),
		Parts: []ExtensionPart{{Slot: SlotValue, OID: "1.2.3"}, {Slot: SlotSKI}, {Slot: SlotValue, OID: "1.2.4", Critical: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := deviceContent(t, key)
	c.Values = [][]byte{nil, {5, 0}}
	parsed, err := ParseTBS(must(t)(tmpl.Append(nil, c)))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Extension("1.2.3") != nil {
		t.Error("an extension without a value is there")
	}
	if diff := cmp.Diff(&Extension{OID: "1.2.4", Critical: true, Value: []byte{5, 0}}, parsed.Extension("1.2.4")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.Values = c.Values[:1]
	if _, err := tmpl.Append(nil, c); err == nil {
		t.Error("a content with too few values is encoded")
	}
}
