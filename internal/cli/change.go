package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// changeCommand is "pando change".
type changeCommand struct {
	List     changeList     `cmd:"" help:"List what waits for approval, or did."`
	Show     changeShow     `cmd:"" help:"Show a change: exactly what is to be done, and its hash."`
	Approve  changeApprove  `cmd:"" help:"Approve a change that you looked at."`
	Refuse   changeRefuse   `cmd:"" help:"Refuse a change, which ends it."`
	Withdraw changeWithdraw `cmd:"" help:"Withdraw a change that waits."`
}

func (changeCommand) Help() string {
	return `A change is an act that waits until others have approved it. With the last approval it is done, as it was asked for and no other way.`
}

// changeList is "pando change list".
type changeList struct {
	State  string `enum:"pending,approved,executed,refused,withdrawn,expired,failed,all" default:"pending" help:"Which: ${enum}."`
	Cursor string `placeholder:"CURSOR" help:"Where to go on, as the page before says."`
	Limit  int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
}

// Run lists the changes.
func (l *changeList) Run(ctx context.Context, c *console, cl *client.Client) error {
	state := l.State
	if state == "all" {
		state = ""
	}
	items, err := cl.Changes(ctx, state, l.Cursor, l.Limit)
	if err != nil {
		return err
	}
	t := table{heading: []string{"CHANGE", "KIND", "TARGET", "STATE", "WAITS FOR", "REQUESTER", "EXPIRES"}}
	for _, x := range items.Items {
		t.add(x.ID, x.Kind, x.Target, x.State, x.Waits, x.Requester, when(x.Expires))
	}
	return c.list(items, &t, "--cursor", items.Next)
}

// changeShow is "pando change show".
type changeShow struct {
	ID string `arg:"" help:"The change."`
}

func (changeShow) Help() string {
	return `The hash is computed here, from what is shown: it stands for that and for nothing else. An approval names it.

Examples:

    pando change list
    pando change show 0q1l7v3b7d0000000000000000
    pando change approve 0q1l7v3b7d0000000000000000 --hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`
}

// Run shows the change.
func (s *changeShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Change(ctx, s.ID)
	if err != nil {
		return err
	}
	if own := hashOf(got); own != got.Hash {
		return fmt.Errorf("the server says that the hash of this change is %s, and it is %s: approve nothing, and tell the platform's operator", got.Hash, own)
	}
	return c.result(got, func(w io.Writer) error {
		if err := describeChange(got).write(w); err != nil {
			return err
		}
		if err := writePayload(ctx, w, cl, got); err != nil {
			return err
		}
		if got.State == string(approval.Pending) {
			c.note("one who may approve it: 'pando change approve %s --hash %s'", got.ID, got.Hash)
		}
		return nil
	})
}

// hashOf returns the hash of a change as it was received.
func hashOf(x *client.Change) string {
	hash := approval.HashOf(pki.TenantID(x.Tenant), approval.Kind(x.Kind), x.Target, []byte(x.Payload))
	return hex.EncodeToString(hash[:])
}

func describeChange(x *client.Change) *table {
	t := new(table)
	t.add("change", x.ID)
	t.add("what", x.Kind+": "+x.Summary)
	t.add("target", x.Target)
	t.add("requester", x.Requester)
	t.add("asked for", when(x.Created))
	t.add("expires", when(x.Expires))
	t.add("needs", inSteps(x.Steps))
	t.add("state", x.State)
	if x.Waits != "" {
		t.add("waits for", x.Waits)
	}
	if x.Outcome != "" {
		t.add("outcome", x.Outcome)
	}
	addDecisions(t, x)
	for _, led := range x.Certificates {
		t.add("certificate", led.Serial+" of issuer "+led.Issuer)
	}
	t.add("hash", x.Hash)
	return t
}

// addDecisions adds to a table who decided on a change.
func addDecisions(t *table, x *client.Change) {
	for _, d := range x.Decisions {
		said := fmt.Sprintf("%s by %s at %s", d.Verdict, d.By, when(d.At))
		if d.Comment != "" {
			said += ": " + d.Comment
		}
		t.add(fmt.Sprintf("step %d", d.Step), said)
	}
}

// writePayload prints exactly what is to be done: a profile's document with what it
// changes, and other requests as they are.
func writePayload(ctx context.Context, w io.Writer, cl *client.Client, x *client.Change) error {
	if x.Kind == string(approval.PublishProfile) {
		var p struct {
			Source string `json:"source"`
		}
		if err := json.Unmarshal([]byte(x.Payload), &p); err != nil {
			return err
		}
		fmt.Fprintf(w, "\nThe document:\n\n%s\n", lines(p.Source))
		return writeProfileChange(ctx, w, cl, p.Source)
	}
	if x.Kind == string(approval.Enroll) {
		if err := writeRequests(w, x.Payload); err != nil {
			return err
		}
	}
	request := jsontext.Value(slices.Clone([]byte(x.Payload)))
	if err := request.Indent(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe request:\n\n%s\n", lines(string(request)))
	return err
}

// writeRequests prints what the requests of an enrolment ask for: the server's summary
// is not what an approval stands for.
func writeRequests(w io.Writer, payload string) error {
	var p struct {
		CSR  []byte `json:"csr"`
		Pair struct {
			CSR []byte `json:"csr"`
		} `json:"pair"`
	}
	if err := json.Unmarshal([]byte(payload), &p); err != nil {
		return err
	}
	for _, der := range [][]byte{p.CSR, p.Pair.CSR} {
		if der == nil {
			continue
		}
		csr, err := tbs.ParseCSR(der)
		if err != nil {
			return err
		}
		t := new(table)
		t.add("key", csr.Key.Kind())
		t.add("subject", fmt.Sprintf("%q", csr.Subject))
		for _, n := range csr.Names {
			t.add("name", fmt.Sprintf("%q", n.Text))
		}
		fmt.Fprint(w, "\nA certificate is asked for with:\n\n")
		if err := t.write(w); err != nil {
			return err
		}
	}
	return nil
}

// writeProfileChange prints what a document changes of the latest published version.
func writeProfileChange(ctx context.Context, w io.Writer, cl *client.Client, source string) error {
	after, err := policy.Parse([]byte(source))
	if err != nil {
		return err
	}
	latest, err := cl.Profile(ctx, after.Name(), 0)
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Kind == pki.NotFound.String() {
		_, err := fmt.Fprintln(w, "It is the first version of this profile.")
		return err
	}
	if err != nil {
		return err
	}
	before, err := policy.Parse([]byte(latest.Source))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "What it changes of version %d, the latest:\n\n", latest.Version)
	t := table{heading: []string{"EFFECT", "WHAT", "BEFORE", "AFTER"}}
	for _, d := range policy.Diff(before, after) {
		t.add(d.Effect, d.What, d.Before, d.After)
	}
	return t.write(w)
}

// decision is what approve and refuse have in common.
type decision struct {
	ID      string `arg:"" help:"The change."`
	Hash    string `required:"" placeholder:"HASH" help:"Its hash, as 'pando change show' prints it below what you looked at."`
	Comment string `placeholder:"TEXT" help:"For the requester and for auditors."`
}

// AfterApply is called by kong. Pages show hashes cut short, which decide nothing.
func (d *decision) AfterApply() error {
	if b, err := hex.DecodeString(d.Hash); err != nil || len(b) != sha256.Size || strings.ToLower(d.Hash) != d.Hash {
		return errors.New("--hash: give the whole hash, 64 hexadecimal digits in lower case, as 'pando change show' prints it")
	}
	return nil
}

func (d *decision) said() client.NewDecision {
	return client.NewDecision{Hash: d.Hash, Comment: d.Comment}
}

// changeApprove is "pando change approve".
type changeApprove struct{ decision }

func (changeApprove) Help() string {
	return `Who asked for a change never approves it, and nobody approves twice. With the last approval it is done at once; the exit status is 1 where that fails.

Examples:

    pando change show 0q1l7v3b7d0000000000000000
    pando change approve 0q1l7v3b7d0000000000000000 --hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --comment "as agreed on Monday"`
}

// Run approves the change.
func (a *changeApprove) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Approve(ctx, a.ID, a.said())
	if err != nil {
		return err
	}
	switch approval.State(got.State) {
	case approval.Failed:
		return fmt.Errorf("the change is approved and could not be done: %s", got.Outcome)
	case approval.Pending:
		c.note("approved; it waits for %s more", got.Waits)
	case approval.Approved:
		c.note("approved; it cannot be done at this moment, and is tried again until it expires")
	default:
		c.note("approved and done")
	}
	return c.result(got, describeChange(got).write)
}

// changeRefuse is "pando change refuse".
type changeRefuse struct{ decision }

func (changeRefuse) Help() string {
	return `Needs what an approval needs.

Examples:

    pando change refuse 0q1l7v3b7d0000000000000000 --hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --comment "no end date"`
}

// Run refuses the change.
func (r *changeRefuse) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Refuse(ctx, r.ID, r.said())
	if err != nil {
		return err
	}
	return c.result(got, describeChange(got).write)
}

// changeWithdraw is "pando change withdraw".
type changeWithdraw struct {
	ID      string `arg:"" help:"The change."`
	Comment string `placeholder:"TEXT" help:"For auditors."`
}

func (changeWithdraw) Help() string {
	return `Who asked for a change withdraws it, or who manages approvals.

Examples:

    pando change withdraw 0q1l7v3b7d0000000000000000 --comment "the wrong document"`
}

// Run withdraws the change.
func (x *changeWithdraw) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Withdraw(ctx, x.ID, x.Comment)
	if err != nil {
		return err
	}
	return c.result(got, describeChange(got).write)
}
