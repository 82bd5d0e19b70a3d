package policy

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// now is the moment at which the tests issue.
var now = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// generate makes a key of the kind.
func generate(t testing.TB, kind pki.KeyKind) crypto.Signer {
	t.Helper()
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(t testing.TB, pub crypto.PublicKey) tbs.PublicKey {
	t.Helper()
	key, err := tbs.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// request makes and parses a request for names and a common name.
func request(t testing.TB, key crypto.Signer, cn string, names ...string) *tbs.CSR {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return parseRequest(t, template, key)
}

func parseRequest(t testing.TB, template *x509.CertificateRequest, key crypto.Signer) *tbs.CSR {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := tbs.ParseCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func reference(t testing.TB, name string) *Profile {
	t.Helper()
	source, err := packs.Document(name)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(source))
}

func parse(t testing.TB, source string) *Profile {
	t.Helper()
	p, err := Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// An issuer is a CA of the tests with its key.
type issuer struct {
	IssuerParams
	key crypto.Signer
}

// newIssuer makes the issuer of a reference profile's certificates: for the root
// itself, for the root's children the root, else an issuing authority that is
// valid for 15 years.
func newIssuer(t testing.TB, profile string) issuer {
	t.Helper()
	kind, cn, pathLen, years, shards := pki.P256, "Manufacturing 1", 0, 15, 4
	switch profile {
	case "root":
		kind, cn, pathLen, shards = pki.P384, "Root 1", -1, 1
	case "issuing-ca":
		kind, cn, pathLen, years, shards = pki.P384, "Root 1", 1, 25, 1
	}
	key := generate(t, kind)
	pub := publicKey(t, key.Public())
	subject, err := tbs.Name{
		{OID: "2.5.4.3", Value: cn},
		{OID: "2.5.4.10", Value: "Example Meters"},
	}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	params := IssuerParams{
		ID: "0issuer", Subject: subject, KeyID: pub.KeyID(), Algorithm: pub.SignatureAlgorithm(),
		PathLen: pathLen, StatusURL: "http://pki.example.com", Shards: shards,
	}
	if profile != "root" {
		params.NotBefore = now.Truncate(time.Hour)
		params.NotAfter = params.NotBefore.AddDate(years, 0, 0).Add(-time.Second)
	}
	return issuer{params, key}
}

func bind(t testing.TB, p *Profile, params IssuerParams) *Bound {
	t.Helper()
	b, err := p.Bind(pki.ProfileRef{Tenant: "demo", Name: p.Name(), Version: 1}, params)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inputFor is a request that the reference profile accepts.
func inputFor(t testing.TB, profile string, key crypto.Signer) *Input {
	t.Helper()
	in := &Input{Organization: "Example Meters", Now: now}
	switch profile {
	case "root", "issuing-ca", "ocsp-responder", "scep-signer", "scep-recipient":
		in.CommonName = map[string]string{"root": "Root 1", "issuing-ca": "Manufacturing 1", "ocsp-responder": "OCSP 1", "scep-signer": "SCEP 1", "scep-recipient": "SCEP 1"}[profile]
		in.CSR = request(t, key, "")
	case "meter", "rni-command":
		in.Device = "M-0001"
		in.CSR = request(t, key, "")
	case "device":
		in.CSR = request(t, key, "gateway 7", "gw7.example.com", "urn:dev:os:32473-7")
	case "firmware-signing":
		in.CSR = request(t, key, "Meter firmware 2026")
	case "tls-server", "tls-client", "head-end":
		in.CSR = request(t, key, "", "head.example.com", "10.1.2.3", "urn:example:head")
		in.Names = pki.Names{DNS: []string{"*.example.com"}, IP: []string{"10.0.0.0/8"}, URI: []string{"urn:example:"}}
	}
	return in
}

// issue runs the whole path as issuance does and returns the certificate.
func issue(t testing.TB, b *Bound, from issuer, in *Input, serial pki.Serial) []byte {
	t.Helper()
	c, err := b.Content(in)
	if err != nil {
		t.Fatal(err)
	}
	c.Serial = serial
	encoded, err := b.Append(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Lint(encoded, c); err != nil {
		t.Fatal(err)
	}
	signature, err := tbs.Sign(from.key, from.Algorithm, encoded)
	if err != nil {
		t.Fatal(err)
	}
	return tbs.AppendSigned(nil, encoded, from.Algorithm, signature)
}

// testSerial is one that NewSerial could make.
func testSerial() pki.Serial {
	s := pki.Serial{byte(pki.SerialLong)}
	for i := 1; i < len(s); i++ {
		s[i] = byte(i)
	}
	return s
}
