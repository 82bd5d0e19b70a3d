package batch_test

import (
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestBatchAcrossSwitch: an authority is switched to its next issuer while it signs a
// batch. No row is lost, and each certificate verifies under the issuer that its record
// names.
func TestBatchAcrossSwitch(t *testing.T) {
	const rows = 3000
	s := newStack(t, stack.Config{})
	ctx, g := t.Context(), s.Permit(t, "acme", access.ManageAuthorities)
	if _, err := s.Hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); err != nil {
		t.Fatal(err)
	}
	request, err := s.Hierarchy.Request(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	s.Sign(t, "acme", request)

	b, err := submit(t, s, batch.Submission{}, pandotest.PEMRequests(t, "SM-", rows))
	if err != nil {
		t.Fatal(err)
	}
	for seen, err := range s.Batch.Watch(ctx, s.Permit(t, "acme", access.ReadBatches), b.ID) {
		if err != nil {
			t.Fatal(err)
		}
		if seen.Issued > 0 {
			break
		}
	}
	v, err := s.Hierarchy.Switch(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	if b = rest(t, s, b.ID); b.State != batch.Done || b.Issued != rows {
		t.Fatalf("%s, %d of %d rows issued", b.State, b.Issued, rows)
	}
	by := make(map[pki.IssuerID]int)
	for _, i := range v.Issuers {
		by[i.ID] = 0
	}
	for r, err := range s.Batch.Results(ctx, s.Permit(t, "acme", access.ReadBatches), b.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range v.Issuers {
			if i.ID == r.Certificate.Issuer {
				by[i.ID]++
				if err := pandotest.Parse(t, r.Certificate.DER).CheckSignatureFrom(pandotest.Parse(t, i.Certificate)); err != nil {
					t.Fatalf("row %d: %v", r.Row, err)
				}
			}
		}
	}
	total := 0
	for _, n := range by {
		total += n
	}
	if total != rows || by[v.Issuers[1].ID] == 0 {
		t.Errorf("%v certificates by issuer, of %d", by, rows)
	}
	// What is submitted from then on comes from the new one alone.
	after, err := submit(t, s, batch.Submission{}, pandotest.PEMRequests(t, "X-", 3))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, after.ID)
	for r, err := range s.Batch.Results(ctx, s.Permit(t, "acme", access.ReadBatches), after.ID, 0) {
		if err != nil || r.Certificate.Issuer != v.Active().ID {
			t.Errorf("row %d by %s: %v", r.Row, r.Certificate.Issuer, err)
		}
	}
}
