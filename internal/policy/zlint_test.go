package policy

import (
	"crypto"
	"testing"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/pando-pki/pando/internal/pki"
)

// clientEncipherment finds that keyEncipherment does not serve clientAuth. RFC
// 5280, 4.2.1.12 says of clientAuth that digitalSignature "may be consistent",
// not that other bits are forbidden, and a device with an RSA key needs it to
// receive what SCEP encrypts to it (RFC 8894, 3.1). docs/adr/0010-zlint-exemption.md
// has the whole of it.
const clientEncipherment = "e_key_usage_and_extended_key_usage_inconsistent"

// TestZlint has a certificate of each reference profile and each allowed kind of
// key checked by zlint's rules for any PKI; its rules for the web's are not ours.
func TestZlint(t *testing.T) {
	rules, err := lint.GlobalRegistry().Filter(lint.FilterOptions{
		IncludeSources: lint.SourceList{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC8813, lint.Community},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[pki.KeyKind]crypto.Signer)
	for _, kind := range pki.KeyKinds() {
		keys[kind] = generate(t, kind)
	}
	for _, name := range Reference() {
		p := reference(t, name)
		for _, kind := range p.KeyKinds() {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				from := newIssuer(t, name)
				key := keys[kind]
				if name == "root" {
					key = from.key
				}
				in := inputFor(t, name, key)
				certificate, err := zx509.ParseCertificate(issue(t, bind(t, p, from.IssuerParams), from, in, testSerial()))
				if err != nil {
					t.Fatal(err)
				}
				findings := zlint.LintCertificateEx(certificate, rules)
				if len(findings.Results) == 0 {
					t.Fatal("no rule ran")
				}
				for rule, result := range findings.Results {
					if result.Status >= lint.Warn {
						t.Logf("%s: %s %s", result.Status, rule, result.Details)
					}
					if result.Status >= lint.Error && !(rule == clientEncipherment && name == "device") {
						t.Fail()
					}
				}
			})
		}
	}
}
