package policy

import (
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// documentApprovals is whose approval each enrolment needs.
type documentApprovals struct {
	Steps  []word `yaml:"steps"`
	Expire word   `yaml:"expire"`
}

// stepText is a step as it is written: "2 of security-officer".
var stepText = regexp.MustCompile(`^([1-9][0-9]?) of ([a-z0-9-]{1,40})$`)

// compileApprovals reads whose approval an enrolment needs. Whether a role that is not
// built in is there, and decides, its tenant knows.
func (p *Profile) compileApprovals(doc *document) error {
	if doc.Approvals == nil {
		return nil
	}
	rule := approval.Rule{Kind: approval.Enroll, Life: approval.DefaultLife}
	for _, w := range doc.Approvals.Steps {
		m := stepText.FindStringSubmatch(w.text)
		if m == nil {
			return at(w.token, `a step is a number of approvals and whose they are, as "2 of security-officer"`)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return err // cannot be: two digits
		}
		step := approval.Step{Role: access.Role(m[2]), N: n}
		if err := approval.CheckSteps([]approval.Step{step}, nil); err != nil {
			return at(w.token, pki.DetailOf(err))
		}
		rule.Steps = append(rule.Steps, step)
	}
	if w := doc.Approvals.Expire; w.text != "" {
		expire, err := parsePeriod(w.text)
		rule.Life = expire.clock + time.Duration(expire.days)*24*time.Hour
		if err != nil || rule.Life < approval.MinLife || rule.Life > approval.MaxLife {
			return at(w.token, "an enrolment waits for a number and d, h or min, from 1min to 90d")
		}
	}
	switch err := approval.CheckSteps(rule.Steps, nil); {
	case err != nil:
		return pki.Errorf(pki.Malformed, "approvals: %s", pki.DetailOf(err))
	case len(rule.Steps) == 0:
		return pki.Errorf(pki.Malformed, `approvals: steps names at least one, as "1 of security-officer"; leave the key out where nobody approves`)
	case p.ca:
		return pki.Errorf(pki.Malformed, "approvals: an authority is not enrolled; 'pando approval set %s' says who approves one", approval.CreateAuthority)
	case p.SignsOCSP():
		return pki.Errorf(pki.Malformed, "approvals: OCSP responders are enrolled by the server itself, which waits for nobody")
	}
	p.approvals = &rule
	return nil
}

// Approvals returns whose approval each enrolment under the profile needs, and how
// long it waits for it; nil where it needs nobody's.
func (p *Profile) Approvals() *approval.Rule {
	if p.approvals == nil {
		return nil
	}
	rule := *p.approvals
	rule.Steps = slices.Clone(rule.Steps) // the caller's to add to
	return &rule
}

// approvals compares whose approval is needed. What is looser widens, as a rule of a
// tenant's is loosened.
func (d *differ) approvals(before, after *approval.Rule) {
	var was, is approval.Rule // zero needs nobody
	was.Kind, is.Kind = approval.Enroll, approval.Enroll
	if before != nil {
		was = *before
	}
	if after != nil {
		is = *after
	}
	switch {
	case slices.Equal(was.Steps, is.Steps) && was.Life == is.Life:
	case is.Looser(was):
		d.add("approvals", was.String(), is.String(), Widens)
	default:
		d.add("approvals", was.String(), is.String(), Narrows)
	}
}
