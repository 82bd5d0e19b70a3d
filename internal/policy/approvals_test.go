package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// withApprovals is a profile whose enrolments wait for what a line says.
func withApprovals(line string) string {
	return "profile: guarded\n" + line + "\nkeys: {allow: [p256]}\nvalidity: 1y\nsubject: [{type: serialNumber, from: device.id}]\nkeyIdentifiers: [authority]\n"
}

func TestApprovals(t *testing.T) {
	got := parse(t, withApprovals("approvals: {steps: [1 of ra-operator, 10 of line-lead], expire: 36h}")).Approvals()
	want := &approval.Rule{Kind: approval.Enroll, Life: 36 * time.Hour, Steps: []approval.Step{{Role: access.RAOperator, N: 1}, {Role: "line-lead", N: 10}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if rule := parse(t, withApprovals("approvals: {steps: [1 of ra-operator]}")).Approvals(); rule.Life != approval.DefaultLife {
		t.Error(rule)
	}
	if rule := parse(t, withApprovals("")).Approvals(); rule != nil {
		t.Error(rule)
	}
	for line, text := range map[string]string{
		"approvals: {}":                                                                                        "steps names at least one",
		"approvals: {steps: []}":                                                                               "steps names at least one",
		"approvals: {steps: [security-officer]}":                                                               "a step is a number of approvals and whose",
		"approvals: {steps: [0 of security-officer]}":                                                          "a step is a number of approvals and whose",
		"approvals: {steps: [11 of security-officer]}":                                                         "from 1 to 10",
		"approvals: {steps: [1 of auditor]}":                                                                   "approvals.decide",
		"approvals: {steps: [1 of a, 1 of b, 1 of c, 1 of d, 1 of e, 1 of f]}":                                 "there are 5 at most",
		"approvals: {steps: [1 of ra-operator], expire: 91d}":                                                  "from 1min to 90d",
		"approvals: {steps: [1 of ra-operator], expire: 1s}":                                                   "from 1min to 90d",
		"approvals: {steps: [1 of ra-operator], expire: 99991231235959Z}":                                      "from 1min to 90d",
		"approvals: {steps: [1 of ra-operator], expire: 1y}":                                                   "from 1min to 90d",
		"approvals: {steps: [1 of ra-operator], life: 1d}":                                                     "unknown",
		"approvals: {steps: [1 of ra-operator]}\nbasicConstraints: {ca: true}\nkeyUsage: {use: [keyCertSign]}": "an authority is not enrolled",
		"approvals: {steps: [1 of ra-operator]}\nextendedKeyUsage: {use: [OCSPSigning]}":                       "OCSP responders",
	} {
		source := withApprovals(line)
		if strings.Contains(line, "ca: true") {
			source = strings.Replace(source, "[authority]", "[authority, subject]", 1)
		}
		_, err := Parse([]byte(source))
		if pki.KindOf(err) != pki.Malformed || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", line, err, text)
		}
	}
}

// TestApprovalsDiffer: what is looser widens, whatever else it is.
func TestApprovalsDiffer(t *testing.T) {
	const two = "approvals: {steps: [1 of ra-operator, 2 of security-officer], expire: 2d}"
	for line, want := range map[string]Effect{
		"": Widens,
		"approvals: {steps: [2 of security-officer], expire: 2d}":                                   Widens,
		"approvals: {steps: [1 of ra-operator, 1 of security-officer], expire: 2d}":                 Widens,
		"approvals: {steps: [2 of security-officer, 1 of ra-operator], expire: 2d}":                 Widens,
		"approvals: {steps: [1 of ra-operator, 2 of security-officer], expire: 3d}":                 Widens,
		"approvals: {steps: [1 of ra-operator, 2 of security-officer], expire: 1d}":                 Narrows,
		"approvals: {steps: [1 of ra-operator, 3 of security-officer], expire: 2d}":                 Narrows,
		"approvals: {steps: [1 of ra-operator, 2 of security-officer, 1 of line-lead], expire: 2d}": Narrows,
	} {
		changes := Diff(parse(t, withApprovals(two)), parse(t, withApprovals(line)))
		if len(changes) != 1 || changes[0].What != "approvals" || changes[0].Effect != want || changes[0].Before == changes[0].After {
			t.Errorf("%s: %+v, want %s", line, changes, want)
		}
	}
	if changes := Diff(parse(t, withApprovals(two)), parse(t, withApprovals(strings.Replace(two, "2d", "48h", 1)))); changes != nil {
		t.Errorf("the same in other words: %+v", changes)
	}
}
