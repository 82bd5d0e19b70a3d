package policy

import (
	"bytes"
	"cmp"
	"crypto/fips140"
	"fmt"
	"slices"
	"strings"
	"sync"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/community" // registers its rules
	_ "github.com/zmap/zlint/v3/lints/rfc"       // registers its rules

	"github.com/pando-pki/pando/internal/tbs"
)

// A Level says what a finding of zlint means.
type Level string

// The levels.
const (
	Failing Level = "error"   // no such certificate is signed
	Warning Level = "warning" // whoever writes the profile is told
)

// A Finding is what one of zlint's rules has against a certificate.
type Finding struct {
	Rule   string `json:"rule"` // as zlint names it
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
}

// String returns the finding on one line.
func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Level, f.Rule, f.Detail) }

// unread is the rule of a finding that zlint cannot read the certificate.
const unread = "zlint-reads-it"

// zlintRules are zlint's for any PKI, by name; those for the web's are not ours.
var zlintRules = sync.OnceValue(func() map[string]*lint.CertificateLint {
	rules := make(map[string]*lint.CertificateLint)
	for _, source := range [...]lint.LintSource{
		lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC8813, lint.Community,
	} {
		for _, rule := range lint.GlobalRegistry().CertificateLints().BySource(source) {
			rules[rule.Name] = rule
		}
	}
	return rules
})

// zlintConfig is what zlint's rules have by default. Making it takes longer than a
// rule does.
var zlintConfig = sync.OnceValue(lint.NewEmptyConfig)

// Zlint returns what zlint's rules for any PKI have against a certificate, without
// what the profile or exceptions leave out: errors first, by name. Of a key or a
// signature algorithm that zlint does not know, as ML-DSA, its rules say nothing.
func (p *Profile) Zlint(certificate []byte) []Finding {
	var parsed *zx509.Certificate
	var err error
	// Its parser makes fingerprints by MD5 and SHA-1, which name what it reads and
	// protect nothing: FIPS 140-3 does not concern them.
	fips140.WithoutEnforcement(func() { parsed, err = zx509.ParseCertificate(certificate) })
	if err != nil && p.excepts(unread, nil) {
		return nil
	}
	if err != nil {
		return []Finding{{unread, Failing, "zlint's parser: " + err.Error()}}
	}
	// Its parser knows a self-signed certificate by its signature, which there may
	// not be yet, or by an algorithm that it does not know.
	if bytes.Equal(parsed.RawSubject, parsed.RawIssuer) && (parsed.AuthorityKeyId == nil || bytes.Equal(parsed.AuthorityKeyId, parsed.SubjectKeyId)) {
		parsed.SelfSigned = true
	}
	var findings []Finding
	config := zlintConfig()
	for name, rule := range zlintRules() {
		result := rule.Execute(parsed, config)
		if result.Status < lint.Warn || p.excepts(name, parsed) {
			continue
		}
		f := Finding{name, Failing, result.Details}
		if result.Status == lint.Warn {
			f.Level = Warning
		}
		if f.Detail == "" {
			f.Detail = strings.TrimSuffix(rule.Description, ".")
		}
		findings = append(findings, f)
	}
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Rule, b.Rule))
	})
	return findings
}

// Failure returns the findings that forbid a signature as an error without a kind,
// or nil.
func Failure(findings []Finding) error {
	var texts []string
	for _, f := range findings {
		if f.Level == Failing {
			texts = append(texts, f.Rule+": "+f.Detail)
		}
	}
	if texts == nil {
		return nil
	}
	return fmt.Errorf("zlint: %s", strings.Join(texts, "; "))
}

// noSignature stands for the signature where zlint reads what is yet to be signed.
// It has the form of one of ECDSA; no rule reads it, and nothing verifies it.
var noSignature = []byte("\x30\x06\x02\x01\x01\x02\x01\x01")

// LintUnsigned has zlint's rules read a certificate that nobody signed yet, but for what
// the profile leaves out: message is its TBSCertificate. It is for certificates that no
// Bound makes.
func (p *Profile) LintUnsigned(message []byte, alg tbs.SignatureAlgorithm) error {
	return Failure(p.Zlint(tbs.AppendSigned(nil, message, alg, noSignature)))
}

// lintShape has zlint's rules read the certificate, unless they had nothing against
// another of its shape.
func (b *Bound) lintShape(message []byte, c *tbs.Content) error {
	var buf [256]byte
	shape, whole := appendShape(buf[:0], c)
	whole = whole && !b.profile.knownVaries
	if whole && b.passed.has(shape) {
		return nil
	}
	findings := b.profile.Zlint(tbs.AppendSigned(nil, message, b.issuer.Algorithm, noSignature))
	if err := Failure(findings); err != nil {
		return err
	}
	if whole {
		b.passed.add(shape)
	}
	return nil
}
