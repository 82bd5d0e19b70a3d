package tbs

import (
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
			{Slot: Constant, DER: must(t)(CertificatePolicies("1.3.6.1.4.1.32473.2.1"))},
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
