package policy

import (
	"crypto/fips140"
	"fmt"
	"slices"
	"sync"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"

	"github.com/pando-pki/pando/internal/tbs"
)

// crlRules are zlint's for the CRLs of any PKI, without those that demand more than
// the standard that they cite.
var crlRules = sync.OnceValue(func() (rules []*lint.RevocationListLint) {
	for _, source := range [...]lint.LintSource{lint.RFC5280, lint.Community} {
		for _, rule := range lint.GlobalRegistry().RevocationListLints().BySource(source) {
			if !slices.ContainsFunc(crlExceptions[:], func(e exception) bool { return e.rule == rule.Name }) {
				rules = append(rules, rule)
			}
		}
	}
	return rules
})

// crlExceptions are the rules for CRLs that do not count.
var crlExceptions = [...]exception{{
	rule:    "e_crl_revocation_time_after_this_update",
	because: "RFC 5280, 5.1.2.4 and 5.1.2.6 say nothing of the kind; thisUpdate is set back for verifiers whose clock is late (docs/adr/0041)",
}}

// LintCRL has zlint's rules for any PKI read a CRL that nobody signed yet: message is
// its TBSCertList. Its error, without a kind, has all findings of level error and
// warning, since nobody could write a CRL differently. What zlint holds of each entry
// it holds of those that message has.
func LintCRL(message []byte, alg tbs.SignatureAlgorithm) error {
	var parsed *zx509.RevocationList
	var err error
	// As in Zlint: what its parser hashes protects nothing.
	fips140.WithoutEnforcement(func() {
		parsed, err = zx509.ParseRevocationList(tbs.AppendSigned(nil, message, alg, noSignature))
	})
	if err != nil {
		return fmt.Errorf("zlint's parser: %w", err)
	}
	var findings []Finding
	config := zlintConfig()
	for _, rule := range crlRules() {
		if result := rule.Execute(parsed, config); result.Status >= lint.Warn {
			findings = append(findings, Finding{rule.Name, Failing, result.Details})
		}
	}
	return Failure(findings)
}
