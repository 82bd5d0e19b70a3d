package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// approvalCommand is "pando approval".
type approvalCommand struct {
	Rules approvalRules `cmd:"" help:"List what acts of each kind need."`
	Set   approvalSet   `cmd:"" help:"Say what acts of a kind need."`
}

func (approvalCommand) Help() string {
	return `A rule says which approvals an act of a kind needs before it is done: so many holders of a role, in one step or in several that follow each other. Whoever asks never approves. 'pando change' shows what waits.`
}

// approvalRules is "pando approval rules".
type approvalRules struct{}

// Run lists the rules.
func (approvalRules) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.ApprovalRules(ctx)
	if err != nil {
		return err
	}
	return c.list(client.List[client.ApprovalRule]{Items: items}, rules(items...), "", "")
}

// approvalSet is "pando approval set".
type approvalSet struct {
	Kind  string   `arg:"" help:"The kind of act, as 'pando approval rules' lists them."`
	Step  []string `xor:"needs" required:"" placeholder:"ROLE[:N]" help:"N holders of the role must approve (default: one); may be repeated, for steps that follow each other."`
	None  bool     `xor:"needs" required:"" help:"Nobody else must: whoever may do it does it alone."`
	Days  int      `default:"7" help:"How long a change waits, up to 90 days."`
	Share *float64 `placeholder:"PERCENT" help:"Of revocation.run: the share of the certificates in force that a job may change with nobody else (default: 1)."`
}

func (approvalSet) Help() string {
	return `What waits already goes on under the rule that it was asked for under. To loosen a rule waits for approval itself, under that rule: the exit status is 3 then.

Examples:

    pando approval set profile.publish --step security-officer:2
    pando approval set authority.activate --step ra-operator --step security-officer --days 14
    pando approval set authority.retire --none
    pando approval set revocation.run --step security-officer --share 0.5`
}

// Run sets the rule.
func (a *approvalSet) Run(ctx context.Context, c *console, cl *client.Client) error {
	steps, err := readSteps(a.Step)
	if err != nil {
		return err
	}
	n := client.NewApprovalRule{Steps: steps, LifeSeconds: int64(a.Days) * 24 * 3600, SharePercent: a.Share}
	set, err := cl.SetApprovalRule(ctx, a.Kind, n)
	if err != nil {
		return err
	}
	return c.result(set, rules(*set).write)
}

// readSteps reads steps as they are given on the command line, each ROLE or ROLE:N.
func readSteps(texts []string) ([]client.ApprovalStep, error) {
	steps := []client.ApprovalStep{}
	for _, text := range texts {
		role, count, given := strings.Cut(text, ":")
		step := client.ApprovalStep{Role: role, N: 1}
		if given {
			var err error
			if step.N, err = strconv.Atoi(count); err != nil || step.N < 1 {
				return nil, usagef("step %q: it is ROLE, or ROLE:N for N holders of it", text)
			}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// rules prints rules for people.
func rules(items ...client.ApprovalRule) *table {
	t := &table{heading: []string{"KIND", "APPROVALS", "WAITS"}}
	for _, x := range items {
		needs := inSteps(x.Steps)
		if x.SharePercent != nil && len(x.Steps) > 0 {
			needs += fmt.Sprintf(" above %g %%", *x.SharePercent)
		}
		t.add(x.Kind, needs, pki.FormatDuration(time.Duration(x.LifeSeconds)*time.Second))
	}
	return t
}

// inSteps prints steps for people.
func inSteps(steps []client.ApprovalStep) string {
	if len(steps) == 0 {
		return "none"
	}
	text := make([]string, len(steps))
	for i, s := range steps {
		text[i] = fmt.Sprintf("%s:%d", s.Role, s.N)
	}
	return strings.Join(text, ", then ")
}
