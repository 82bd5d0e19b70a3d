//go:build system

package acceptance

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestProfiles issues a certificate at each of the story's endpoints, for each
// kind of key, and has openssl verify and zlint judge it, and those of the root,
// the authorities and a responder.
func TestProfiles(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	names := func(dns ...string) x509.CertificateRequest { return x509.CertificateRequest{DNSNames: dns} }
	both := names("a.head-end.example")
	both.Subject.CommonName = "a.head-end.example"
	address := names("localhost")
	address.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	device := x509.CertificateRequest{Subject: pkix.Name{CommonName: "thermostat-1"}, DNSNames: []string{"thermostat-1.example"},
		URIs: []*url.URL{{Scheme: "urn", Opaque: "dev:ops:32473-thermostat-1"}}}
	for _, c := range []struct {
		endpoint, authority, purpose string
		request                      x509.CertificateRequest
		keys                         []pki.KeyKind
	}{
		{"meter", "manufacturing", "sslclient", x509.CertificateRequest{Subject: pkix.Name{SerialNumber: "SM-900001"}}, []pki.KeyKind{pki.P256}},
		{"device", "manufacturing", "sslclient", device, []pki.KeyKind{pki.P256, pki.P384, pki.Ed25519, pki.RSA2048}},
		{"firmware", "firmware", "any", x509.CertificateRequest{Subject: pkix.Name{CommonName: "Firmware 7"}}, []pki.KeyKind{pki.P256, pki.P384, pki.RSA3072}},
		{"rni", "code-verification", "any", x509.CertificateRequest{Subject: pkix.Name{SerialNumber: "RNI-1"}}, []pki.KeyKind{pki.P256}},
		{"tls", "operations", "sslserver", address, []pki.KeyKind{pki.P256, pki.P384, pki.RSA2048}},
		{"tls", "operations", "sslserver", both, []pki.KeyKind{pki.P256}},
		{"head-end", "operations", "sslclient", both, []pki.KeyKind{pki.P256}},
	} {
		for _, kind := range c.keys {
			t.Run(c.endpoint+" "+string(kind)+" "+c.request.Subject.CommonName, func(t *testing.T) {
				der, err := x509.CreateCertificateRequest(rand.Reader, &c.request, pandotest.Key(t, kind))
				if err != nil {
					t.Fatal(err)
				}
				got, err := h.as(t, "").Enroll(t.Context(), client.Enrollment{Endpoint: c.endpoint, CSR: base64.StdEncoding.EncodeToString(der)}, "")
				if err != nil {
					t.Fatal(err)
				}
				verifyAndLint(t, h, c.authority, c.purpose, []byte(got.Certificate))
			})
		}
	}
	t.Run("ocsp-responder", func(t *testing.T) {
		verifyAndLint(t, h, "manufacturing", "ocsphelper", responder(t, h))
	})
	for name, a := range h.file.Authorities {
		t.Run(name, func(t *testing.T) { zlintDER(t, readCertificates(t, a.Chain)[0].Raw) })
	}
	t.Run("root", func(t *testing.T) { zlintDER(t, readCertificates(t, h.file.Root)[0].Raw) })
	h.stop(t)
	h.check(t, "")
}

// verifyAndLint has openssl verify a certificate for a purpose, with its CRL where
// it names one, and zlint judge it.
func verifyAndLint(t *testing.T, h *house, authority, purpose string, text []byte) {
	t.Helper()
	dir := t.TempDir()
	file := writeFile(t, dir, "certificate.pem", text)
	certificate := readCertificates(t, file)[0]
	args := []string{"verify", "-x509_strict", "-purpose", purpose, "-CAfile", h.file.Root, "-untrusted", h.file.Authorities[authority].Chain}
	if from := certificate.CRLDistributionPoints; len(from) > 0 {
		args = append(args, "-crl_check", "-CRLfile", writeFile(t, dir, "list.crl", fetch(t, from[0])))
	}
	expect(t, dir, []string{": OK"}, "openssl", append(args, file)...)
	zlintDER(t, certificate.Raw)
}

// responder returns the certificate of the OCSP responder, in PEM, as it comes with
// a response.
func responder(t *testing.T, h *house) []byte {
	t.Helper()
	dir := t.TempDir()
	a := h.file.Authorities["manufacturing"]
	text := expect(t, dir, []string{"Response verify OK"}, "openssl", "ocsp", "-issuer", a.Chain, "-CAfile", h.file.Root,
		"-url", a.OCSP, "-cert", h.file.Samples.Good, "-resp_text")
	block, _ := pem.Decode([]byte(text[strings.Index(text, "-----BEGIN"):]))
	if block == nil {
		t.Fatalf("the response has no certificate:\n%s", text)
	}
	return pem.EncodeToMemory(block)
}

// clientEncipherment finds that keyEncipherment does not serve clientAuth. RFC
// 5280, 4.2.1.12 does not forbid it, and a device with an RSA key needs it to
// receive what SCEP encrypts to it (RFC 8894, 3.1).
const clientEncipherment = "e_key_usage_and_extended_key_usage_inconsistent"

// zlintDER runs zlint's rules for any PKI; its rules for the web's are not ours.
func zlintDER(t *testing.T, der []byte) {
	t.Helper()
	rules, err := lint.GlobalRegistry().Filter(lint.FilterOptions{
		IncludeSources: lint.SourceList{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC8813},
	})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := zx509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	findings := zlint.LintCertificateEx(certificate, rules)
	if len(findings.Results) == 0 {
		t.Fatal("no rule ran")
	}
	rsaDevice := certificate.PublicKeyAlgorithm == zx509.RSA && strings.HasPrefix(filepath.Base(t.Name()), "device")
	for rule, result := range findings.Results {
		if result.Status >= lint.Warn {
			t.Logf("%s: %s %s", result.Status, rule, result.Details)
		}
		if result.Status >= lint.Error && !(rsaDevice && rule == clientEncipherment) {
			t.Fail()
		}
	}
}
