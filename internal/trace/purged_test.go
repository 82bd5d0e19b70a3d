package trace_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/registry"
)

// TestTracePurged: when the rows of a batch are dropped, the trace of its certificates
// loses the request, says why, and keeps everything else.
func TestTracePurged(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const document = `profile: guarded
approvals: {steps: [1 of security-officer]}
keys: {allow: [p256]}
validity: 1y
subject: [{type: serialNumber, from: device.id}]
keyIdentifiers: [subject, authority]
`
	_, err := s.Hierarchy.PublishProfile(ctx, s.Permit(t, "acme", access.ManageProfiles), []byte(document))
	ok(err)
	_, err = s.Enroll.CreateEndpoint(ctx, s.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "guarded", Authority: "issuing", Profile: "guarded"})
	ok(err)
	permit := func(who access.Principal, p access.Permission) access.Permit {
		t.Helper()
		g, err := who.Authorize(p, "acme")
		ok(err)
		return g
	}
	asks, officer := s.Appoint(t, "acme", "asks", access.FactoryOperator), s.Appoint(t, "acme", "officer", access.SecurityOfficer)
	b, err := s.Batch.Submit(ctx, permit(asks, access.ManageBatches), batch.Submission{Endpoint: "guarded", Format: batch.PEM}, pandotest.PEMRequests(t, "SM-", 3))
	ok(err)
	c, err := s.Store.Change(ctx, "acme", b.Change)
	ok(err)
	_, err = s.Approvals.Decide(ctx, permit(officer, access.DecideApprovals), c.ID, approval.Approve, c.Hash, "on the list")
	ok(err)
	for b.State != batch.Done {
		time.Sleep(20 * time.Millisecond)
		b, err = s.Batch.Batch(ctx, permit(asks, access.ReadBatches), b.ID)
		ok(err)
	}
	reads := s.Permit(t, "acme", access.ReadCertificates)
	found, err := s.Registry.Certificates(ctx, reads, registry.Query{Batch: b.ID}, registry.Paging{Limit: 10})
	ok(err)

	serial := found.Items[1].Serial.String()
	before, err := s.Trace.Trace(ctx, reads, "", serial)
	ok(err)
	if len(before.Request) == 0 || before.Gone != "" {
		t.Errorf("a request of %d bytes, gone since %q", len(before.Request), before.Gone)
	}
	n, err := s.Store.PurgeBatchRows(ctx, time.Now().Add(time.Hour), 100)
	ok(err)
	if n != 1 {
		t.Fatalf("purged %d chunks", n)
	}
	got, err := s.Trace.Trace(ctx, reads, "", serial)
	ok(err)
	if len(got.Request) != 0 || !strings.Contains(got.Gone, b.Finished.UTC().Format(time.RFC3339)) || !strings.Contains(got.Gone, "retention.batch_rows") {
		t.Errorf("a request of %d bytes, gone since %q", len(got.Request), got.Gone)
	}
	if got.Batch == nil || got.Batch.ID != b.ID || got.Batch.Rows != 3 || got.Row != 2 || got.Actor != permit(asks, access.ManageBatches).Actor() || !got.Batch.Created.Equal(b.Created) {
		t.Errorf("%+v, row %d, by %q", got.Batch, got.Row, got.Actor)
	}
	if got.Approved == nil || got.Approved.ID != c.ID || len(got.Approved.Decisions) != 1 {
		t.Errorf("approved by %+v", got.Approved)
	}
	if !bytes.Equal(got.DER, before.DER) || got.Version.Name != "guarded" || len(got.Chain) != 2 || got.Device == nil || len(got.Events) != len(before.Events) {
		t.Errorf("%+v", got)
	}
}
