package policy

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/pando-pki/pando/internal/pki"
)

// maxRules bounds the rules of a profile.
const maxRules = 50

// unseenText refuses what people are told and could not see.
const unseenText = "because and description have printable characters only, because on one line (>- folds several into one)"

// A rule is what must hold of a request.
type rule struct {
	require *expression
	because string
}

// compileRules checks the rules as written.
func compileRules(written []documentRule) ([]rule, error) {
	if len(written) > maxRules {
		return nil, pki.Errorf(pki.Malformed, "rules: there are at most %d", maxRules)
	}
	var rules []rule
	for _, d := range written {
		if d.Require.text == "" || d.Because == "" || len(d.Because) > 200 {
			return nil, at(d.Require.token, "a rule has what it requires, and because: what a refused requester is told, in at most 200 bytes")
		}
		if !isSeen(strings.TrimSuffix(d.Because, "\n")) { // as | and > end
			return nil, at(d.Require.token, unseenText)
		}
		e, err := compileExpression(d.Require.text, cel.BoolType)
		if err != nil {
			return nil, at(d.Require.token, "this is not a rule: "+err.Error())
		}
		rules = append(rules, rule{e, d.Because})
	}
	return rules, nil
}

// quoted are texts in an expression without escapes.
var quoted = regexp.MustCompile(`'([^'"\\]{1,100})'|"([^'"\\]{1,100})"`)

// Texts returns the texts that the profile's rules speak of, each once: what a request
// that fits has may end with one.
func (p *Profile) Texts() (all []string) {
	for _, r := range p.rules {
		for _, m := range quoted.FindAllStringSubmatch(r.require.text, -1) {
			if text := m[1] + m[2]; !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	return all
}

// obey refuses, as PolicyRefused, what a rule does not hold for.
func (p *Profile) obey(in *Input) error {
	for _, r := range p.rules {
		ok, err := r.require.holds(in)
		if err != nil {
			return err
		}
		if !ok {
			return pki.Errorf(pki.PolicyRefused, "the profile %s refuses this: %s", p.name, r.because)
		}
	}
	return nil
}
