package batch_test

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// A board is a stack whose endpoint "guarded" wants the approval of an officer.
type board struct {
	*stack.Stack
	t             *testing.T
	asks, officer access.Principal
}

func newBoard(t *testing.T) *board {
	t.Helper()
	b := &board{Stack: newStack(t, stack.Config{}), t: t}
	const document = `profile: guarded
approvals: {steps: [1 of security-officer]}
keys: {allow: [p256]}
validity: 1y
subject: [{type: serialNumber, from: device.id}]
keyIdentifiers: [subject, authority]
`
	if _, err := b.Hierarchy.PublishProfile(t.Context(), b.Permit(t, "acme", access.ManageProfiles), []byte(document)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Enroll.CreateEndpoint(t.Context(), b.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Authority: "issuing", Profile: "guarded"}); err != nil {
		t.Fatal(err)
	}
	b.asks, b.officer = b.Appoint(t, "acme", "asks", access.FactoryOperator), b.Appoint(t, "acme", "officer", access.SecurityOfficer)
	return b
}

func (b *board) permit(who access.Principal, p access.Permission) access.Permit {
	b.t.Helper()
	g, err := who.Authorize(p, "acme")
	if err != nil {
		b.t.Fatal(err)
	}
	return g
}

// submit submits a batch of so many good rows, and others.
func (b *board) submit(good int, n batch.Submission, rows ...[]byte) *batch.Batch {
	b.t.Helper()
	for i := range good {
		rows = append(rows, pandotest.CSR(b.t, pandotest.Key(b.t, pki.P256), pkix.Name{SerialNumber: fmt.Sprint("SM-", i)}))
	}
	var file bytes.Buffer
	for _, csr := range rows {
		if err := pem.Encode(&file, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}); err != nil {
			b.t.Fatal(err)
		}
	}
	n.Endpoint, n.Format = "guarded", batch.PEM
	got, err := b.Batch.Submit(b.t.Context(), b.permit(b.asks, access.ManageBatches), n, &file)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

// waits reports an error unless a batch waits for the officer, and returns its change.
func (b *board) waits(x *batch.Batch) *approval.Change {
	b.t.Helper()
	if x.State != batch.Waiting || !strings.Contains(x.Why, "1 security-officer must approve it") || x.Issued != 0 {
		b.t.Fatalf("%+v", x)
	}
	c, err := b.Store.Change(b.t.Context(), "acme", x.Change)
	if err != nil || c.State != approval.Pending || c.Kind != approval.IssueBatch {
		b.t.Fatalf("%+v, %v", c, err)
	}
	return c
}

func (b *board) decide(c *approval.Change, v approval.Verdict) *approval.Change {
	b.t.Helper()
	got, err := b.Approvals.Decide(b.t.Context(), b.permit(b.officer, access.DecideApprovals), c.ID, v, c.Hash, "said the officer")
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

// becomes waits until a batch is in a state.
func (b *board) becomes(id pki.BatchID, want batch.State) *batch.Batch {
	b.t.Helper()
	for range 1200 {
		got, err := b.Batch.Batch(b.t.Context(), b.permit(b.asks, access.ReadBatches), id)
		if err != nil {
			b.t.Fatal(err)
		}
		if got.State == want {
			return got
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("the batch does not become %s", want)
	return nil
}

// TestBatchWaits: a batch is one change, and none of it is issued before that.
func TestBatchWaits(t *testing.T) {
	b := newBoard(t)
	x := b.submit(3, batch.Submission{})
	c := b.waits(x)
	if c.Summary != "3 rows at guarded under guarded version 1" || x.Needs != "1 security-officer within 7d" {
		t.Errorf("%s, needs %s", c.Summary, x.Needs)
	}
	if _, err := b.Batch.Resume(t.Context(), b.permit(b.asks, access.ManageBatches), x.ID); pki.KindOf(err) != pki.Conflict {
		t.Errorf("resumed: %v", err)
	}
	if c := b.decide(c, approval.Approve); c.State != approval.Executed {
		t.Errorf("%s: %s", c.State, c.Outcome)
	}
	done := b.becomes(x.ID, batch.Done)
	if done.Issued != 3 || done.Change != c.ID {
		t.Errorf("%+v", done)
	}
}

// TestDryRunTells: a dry run says what issuing needs, and waits when it is to be issued.
func TestDryRunTells(t *testing.T) {
	b := newBoard(t)
	x := b.submit(1, batch.Submission{DryRun: true})
	if x = b.becomes(x.ID, batch.Checked); x.Needs != "1 security-officer within 7d" || x.Change != "" {
		t.Errorf("%+v", x)
	}
	x, err := b.Batch.Issue(t.Context(), b.permit(b.asks, access.ManageBatches), x.ID)
	if err != nil {
		t.Fatal(err)
	}
	c := b.waits(x)
	if again, err := b.Batch.Issue(t.Context(), b.permit(b.asks, access.ManageBatches), x.ID); err != nil || again.State != batch.Waiting {
		t.Errorf("issued again: %+v, %v", again, err)
	}
	b.decide(c, approval.Approve)
	b.becomes(x.ID, batch.Done)
}

// TestBatchRefused: a batch that is refused is cancelled, and says who refused it.
func TestBatchRefused(t *testing.T) {
	b := newBoard(t)
	x := b.submit(1, batch.Submission{})
	c := b.decide(b.waits(x), approval.Refuse)
	got := b.becomes(x.ID, batch.Cancelled)
	if want := "change " + string(c.ID) + ", which it waited for, is refused: said the officer"; got.Why != want || got.Cancelled != 1 || got.Issued != 0 {
		t.Errorf("%+v, want %q", got, want)
	}
}

// TestBatchCancelledWhileWaiting: a change goes with its batch.
func TestBatchCancelledWhileWaiting(t *testing.T) {
	b := newBoard(t)
	x := b.submit(1, batch.Submission{})
	c := b.waits(x)
	if _, err := b.Batch.Cancel(t.Context(), b.permit(b.asks, access.ManageBatches), x.ID); err != nil {
		t.Fatal(err)
	}
	if now, err := b.Store.Change(t.Context(), "acme", c.ID); err != nil || now.State != approval.Withdrawn {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestBatchRequesterGone: whoever submitted a batch must still be allowed to when it is
// approved; otherwise it is cancelled.
func TestBatchRequesterGone(t *testing.T) {
	b := newBoard(t)
	x := b.submit(1, batch.Submission{})
	c := b.waits(x)
	id := pki.TokenID(strings.TrimPrefix(b.asks.ID, "token:"))
	if err := b.Tokens.Revoke(t.Context(), b.Permit(t, "acme", access.ManageTokens), id); err != nil {
		t.Fatal(err)
	}
	if c := b.decide(c, approval.Approve); c.State != approval.Failed {
		t.Errorf("%s", c.State)
	}
	if got := b.becomes(x.ID, batch.Cancelled); !strings.Contains(got.Why, "is failed: the requester may not do this any more") {
		t.Error(got.Why)
	}
}

// TestRetryWaits: a retry is another batch, which waits for itself; one that is refused
// leaves its rows to another.
func TestRetryWaits(t *testing.T) {
	b := newBoard(t)
	x := b.submit(1, batch.Submission{}, pandotest.CSR(t, pandotest.Key(t, pki.P384), pkix.Name{SerialNumber: "SM-9"}))
	b.decide(b.waits(x), approval.Approve)
	if x = b.becomes(x.ID, batch.Done); x.Refused != 1 {
		t.Errorf("%+v", x)
	}
	for _, v := range []approval.Verdict{approval.Refuse, approval.Approve} {
		again, err := b.Batch.Retry(t.Context(), b.permit(b.asks, access.ManageBatches), x.ID, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		b.decide(b.waits(again), v)
		b.becomes(again.ID, map[approval.Verdict]batch.State{approval.Refuse: batch.Cancelled, approval.Approve: batch.Done}[v])
	}
}

// endpointWants has an endpoint want the approval of holders of roles, or of nobody.
func (b *board) endpointWants(name string, roles ...string) {
	b.t.Helper()
	wants := new(pki.Approvals)
	for _, role := range roles {
		wants.Steps = append(wants.Steps, pki.ApprovalStep{Role: role, N: 1})
	}
	if _, err := b.Enroll.UpdateEndpoint(b.t.Context(), b.Permit(b.t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: name, Approvals: wants}); err != nil {
		b.t.Fatal(err)
	}
}

// TestEndpointHasBatchesWait: a batch waits for whom its endpoint names when it is to be
// issued, and was approved for that alone.
func TestEndpointHasBatchesWait(t *testing.T) {
	b := newBoard(t)
	// The endpoint's profile is without approvals from now on.
	if _, err := b.Enroll.UpdateEndpoint(t.Context(), b.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Profile: "meter"}); err != nil {
		t.Fatal(err)
	}
	issue := func(x *batch.Batch) *batch.Batch {
		t.Helper()
		got, err := b.Batch.Issue(t.Context(), b.permit(b.asks, access.ManageBatches), x.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	early := b.submit(1, batch.Submission{DryRun: true})
	b.becomes(early.ID, batch.Checked)
	b.endpointWants("guarded", "security-officer")
	// It was checked before there was anybody to approve it.
	if early = issue(early); early.State != batch.Waiting {
		t.Fatalf("%s", early.State)
	}
	x := b.submit(2, batch.Submission{})
	c := b.waits(x)
	b.decide(c, approval.Approve)
	if x = b.becomes(x.ID, batch.Done); x.Issued+x.Refused != 2 {
		t.Errorf("%+v", x)
	}
	changed := b.submit(1, batch.Submission{Idempotency: "another"})
	c = b.waits(changed)
	b.endpointWants("guarded", "security-officer", "ra-operator")
	if c = b.decide(c, approval.Approve); c.State != approval.Failed || !strings.Contains(c.Outcome, "not what was approved") {
		t.Errorf("%s: %s", c.State, c.Outcome)
	}
	b.becomes(changed.ID, batch.Cancelled)
	late := b.submit(1, batch.Submission{DryRun: true})
	if late = b.becomes(late.ID, batch.Checked); late.Needs != "1 security-officer, then 1 ra-operator within 7d" {
		t.Error(late.Needs)
	}
	b.endpointWants("guarded")
	if late = issue(late); late.State == batch.Waiting {
		t.Error("it waits for nobody")
	}
	b.becomes(late.ID, batch.Done)
}

// early makes a batch that was checked while its endpoint wanted nobody's approval, and
// waits for the officer.
func (b *board) early() (*batch.Batch, *approval.Change) {
	b.t.Helper()
	ctx := b.t.Context()
	if _, err := b.Enroll.UpdateEndpoint(ctx, b.Permit(b.t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Profile: "meter"}); err != nil {
		b.t.Fatal(err)
	}
	x := b.submit(1, batch.Submission{DryRun: true})
	b.becomes(x.ID, batch.Checked)
	b.endpointWants("guarded", "security-officer")
	x, err := b.Batch.Issue(ctx, b.permit(b.asks, access.ManageBatches), x.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return x, b.waits(x)
}

// TestEarlyBatchIsApproved: a batch that was checked before there was anybody to approve
// it says by which change it waits, and is issued by it.
func TestEarlyBatchIsApproved(t *testing.T) {
	b := newBoard(t)
	x, c := b.early()
	if c = b.decide(c, approval.Approve); c.State != approval.Executed {
		t.Errorf("%s: %s", c.State, c.Outcome)
	}
	if x = b.becomes(x.ID, batch.Done); x.Issued != 1 || x.Change != c.ID {
		t.Errorf("%+v", x)
	}
}

// TestEarlyBatchCancelled: its change goes with it.
func TestEarlyBatchCancelled(t *testing.T) {
	b := newBoard(t)
	x, c := b.early()
	if _, err := b.Batch.Cancel(t.Context(), b.permit(b.asks, access.ManageBatches), x.ID); err != nil {
		t.Fatal(err)
	}
	if now, err := b.Store.Change(t.Context(), "acme", c.ID); err != nil || now.State != approval.Withdrawn {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestEarlyBatchUnguarded: a batch that was approved for what its endpoint wanted is not
// issued where the endpoint wants nothing any more.
func TestEarlyBatchUnguarded(t *testing.T) {
	b := newBoard(t)
	x, c := b.early()
	b.endpointWants("guarded")
	if c = b.decide(c, approval.Approve); c.State != approval.Failed || !strings.Contains(c.Outcome, "not what was approved") {
		t.Errorf("%s: %s", c.State, c.Outcome)
	}
	if x = b.becomes(x.ID, batch.Cancelled); x.Issued != 0 {
		t.Errorf("%+v", x)
	}
}

// TestPairsAtGuardedEndpoint: a batch of pairs waits for whom either endpoint names.
func TestPairsAtGuardedEndpoint(t *testing.T) {
	b := newBoard(t)
	b.AddPaired(t, "acme", "open", "closed", "digitalSignature")
	b.AddPaired(t, "acme", "closed", "open", "keyAgreement")
	b.endpointWants("closed", "security-officer")
	x, err := b.Batch.Submit(t.Context(), b.permit(b.asks, access.ManageBatches), batch.Submission{Endpoint: "open", Pair: "closed", Format: batch.NDJSON}, pairFile(couples(t, "A")))
	if err != nil {
		t.Fatal(err)
	}
	b.decide(b.waits(x), approval.Approve)
	if x = b.becomes(x.ID, batch.Done); x.Issued != 2 {
		t.Errorf("%+v", x)
	}
}

// TestBatchAtEndpointWithQuota: rows count against the quota of the batch's endpoint.
func TestBatchAtEndpointWithQuota(t *testing.T) {
	b := newBoard(t)
	if _, err := b.Enroll.UpdateEndpoint(t.Context(), b.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Profile: "meter", Quota: new(int64(2))}); err != nil {
		t.Fatal(err)
	}
	x := b.submit(3, batch.Submission{})
	if x = b.becomes(x.ID, batch.Done); x.Issued != 2 || x.Refused != 1 {
		t.Errorf("%d issued, %d refused", x.Issued, x.Refused)
	}
}
