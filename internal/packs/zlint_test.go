package packs_test

import (
	"crypto"
	"slices"
	"testing"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
)

// exempt are the rules that do not hold for a profile, each with a reason in
// docs/adr: clientAuth with keyEncipherment in 0010, the rest in 0028.
var exempt = map[string][]string{
	"device": {"e_key_usage_and_extended_key_usage_inconsistent"},
}

// TestZlint has the authorities of each pack, and a certificate of each end-entity
// profile and each allowed kind of key, checked by zlint's rules for any PKI; its
// rules for the web's are not ours.
func TestZlint(t *testing.T) {
	rules, err := lint.GlobalRegistry().Filter(lint.FilterOptions{
		IncludeSources: lint.SourceList{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC8813, lint.Community},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[pki.KeyKind]crypto.Signer) // each is made once: RSA takes its time
	for _, name := range packs.Names() {
		p := get(t, name)
		tr := grow(t, p)
		for _, a := range p.Authorities {
			t.Run(name+"/"+a.Name, func(t *testing.T) { check(t, rules, a.Profile, tr.authorities[a.Name].der) })
		}
		for _, leaf := range leaves(t, p) {
			profile := profileOf(t, p, leaf, nil)
			for _, kind := range profile.KeyKinds() {
				if keys[kind] == nil {
					keys[kind] = generate(t, kind)
				}
				t.Run(name+"/"+leaf+"/"+string(kind), func(t *testing.T) {
					certificate, err := tr.issue(t, tr.issuerOf(t, leaf), profile, sample(t, leaf, keys[kind]))
					if err != nil {
						t.Fatal(err)
					}
					check(t, rules, leaf, certificate)
				})
			}
		}
	}
}

func check(t *testing.T, rules lint.Registry, profile string, raw []byte) {
	t.Helper()
	certificate, err := zx509.ParseCertificate(raw)
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
		if result.Status >= lint.Error && !slices.Contains(exempt[profile], rule) {
			t.Fail()
		}
	}
}
