package policy

import (
	"slices"
	"strings"

	zx509 "github.com/zmap/zcrypto/x509"

	"github.com/pando-pki/pando/internal/pki"
)

// An exception is a rule of zlint that does not hold for what a profile makes.
type exception struct {
	rule    string
	because string
}

// maxExceptions bounds the exceptions of a profile.
const maxExceptions = 20

// exceptions are where one of zlint's rules demands more than the standard that it
// cites, for every profile.
var exceptions = [...]struct {
	exception
	in func(*zx509.Certificate) bool
}{
	{
		exception{
			rule:    "e_key_usage_and_extended_key_usage_inconsistent",
			because: "RFC 5280, 4.2.1.12 demands a purpose that both extensions allow, and digitalSignature is consistent with each that it lists; the rule also forbids usages beside it (docs/adr/0010)",
		},
		func(c *zx509.Certificate) bool { return c.KeyUsage&zx509.KeyUsageDigitalSignature != 0 },
	},
}

// compileLint checks the exceptions as written.
func compileLint(written []documentException) ([]exception, error) {
	if len(written) > maxExceptions {
		return nil, pki.Errorf(pki.Malformed, "lint: there are at most %d exceptions", maxExceptions)
	}
	var excepted []exception
	for _, d := range written {
		if _, known := zlintRules()[d.Rule.text]; !known && d.Rule.text != unread {
			return nil, at(d.Rule.token, "an exception has a rule of zlint's that pando runs, as e_ext_san_empty_name; a refusal names it")
		}
		if d.Because == "" || len(d.Because) > 200 {
			return nil, at(d.Rule.token, "an exception says why, because: in at most 200 bytes")
		}
		if !isSeen(strings.TrimSuffix(d.Because, "\n")) { // as | and > end
			return nil, at(d.Rule.token, unseenText)
		}
		if slices.ContainsFunc(excepted, func(e exception) bool { return e.rule == d.Rule.text }) {
			return nil, at(d.Rule.token, "this is said twice")
		}
		excepted = append(excepted, exception{d.Rule.text, d.Because})
	}
	return excepted, nil
}

// excepts reports whether a finding of the rule does not count. c is nil where
// zlint could not read it.
func (p *Profile) excepts(rule string, c *zx509.Certificate) bool {
	for _, e := range exceptions {
		if c != nil && e.rule == rule && e.in(c) {
			return true
		}
	}
	return slices.ContainsFunc(p.lintExcept, func(e exception) bool { return e.rule == rule })
}

// exceptionsOf returns the exceptions for a comparison.
func exceptionsOf(p *Profile) (texts []string) {
	for _, e := range p.lintExcept {
		texts = append(texts, e.rule)
	}
	return texts
}
