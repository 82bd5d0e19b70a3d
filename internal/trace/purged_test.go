package trace_test

import (
	"bytes"
	"encoding/pem"
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

// TestTracePurged: when the rows of a batch are dropped, the trace of its certificates has
// the request as it was submitted, and everything else.
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
	file := pandotest.PEMRequests(t, "SM-", 3)
	_, rest := pem.Decode(file.Bytes())
	second, _ := pem.Decode(rest)
	submitted := second.Bytes
	b, err := s.Batch.Submit(ctx, permit(asks, access.ManageBatches), batch.Submission{Endpoint: "guarded", Format: batch.PEM}, file)
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
	if !bytes.Equal(before.Request, submitted) || before.Gone != "" {
		t.Errorf("the request %x, gone since %q", before.Request, before.Gone)
	}
	n, err := s.Batch.PurgeRows(ctx, time.Now().Add(time.Hour), 100)
	ok(err)
	if n != 1 {
		t.Fatalf("purged %d chunks", n)
	}
	got, err := s.Trace.Trace(ctx, reads, "", serial)
	ok(err)
	if !bytes.Equal(got.Request, submitted) || got.Gone != "" {
		t.Errorf("the request %x, gone since %q", got.Request, got.Gone)
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

// TestTraceLost: where an earlier version dropped the rows of a batch, which kept no
// requests, the trace says so.
func TestTraceLost(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.Batch.Submit(ctx, s.Permit(t, "acme", access.ManageBatches), batch.Submission{Endpoint: "acme.meter", Format: batch.PEM}, pandotest.PEMRequests(t, "SM-", 3))
	ok(err)
	for b, err = range s.Batch.Watch(ctx, s.Permit(t, "acme", access.ReadBatches), b.ID) {
		ok(err)
	}
	chunks, err := s.Store.PurgeableRows(ctx, time.Now().Add(time.Hour), batch.ChunkID{}, 10)
	ok(err)
	_, err = s.Store.PurgeRows(ctx, time.Now().Add(time.Hour), chunks...) // as it did, without requests
	ok(err)
	reads := s.Permit(t, "acme", access.ReadCertificates)
	found, err := s.Registry.Certificates(ctx, reads, registry.Query{Batch: b.ID}, registry.Paging{Limit: 10})
	ok(err)
	got, err := s.Trace.Trace(ctx, reads, "", found.Items[1].Serial.String())
	ok(err)
	if len(got.Request) != 0 || !strings.Contains(got.Gone, b.Finished.UTC().Format(time.RFC3339)) || !strings.Contains(got.Gone, "retention.batch_rows") ||
		!strings.Contains(got.Gone, "an earlier version") || got.Batch == nil || got.Batch.ID != b.ID {
		t.Errorf("the request %x of %+v, gone since %q", got.Request, got.Batch, got.Gone)
	}
}
