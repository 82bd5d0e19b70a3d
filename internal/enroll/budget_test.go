//go:build !race

package enroll_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// upToIntent is in the place of the CA, and does what issuance does
// before an intent is committed: from then on others work, too, and would be counted.
type upToIntent struct {
	enroll.CA
	now   time.Time
	items int // that would have been intended
}

func (c *upToIntent) Time() (time.Time, error) { return c.now, nil }

func (c *upToIntent) Issue(_ context.Context, o *issuance.Order) (*pki.Certificate, bool, error) {
	it, err := issuance.Prepare(o, c.now)
	if err != nil {
		return nil, false, err
	}
	c.items++
	return &pki.Certificate{Issuer: o.Line.Issuer.ID, Serial: it.Serial}, false, nil
}

func (c *upToIntent) IssueChunk(_ context.Context, _ *issuance.Line, _ pki.BatchID, _ int, items []*issuance.Item, _ []issuance.Refusal) error {
	c.items += len(items)
	return nil
}

func (c *upToIntent) Each(n int, f func(i int) error) error {
	for i := range n {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

func newUpToIntent(t *testing.T) (*house, *enroll.Service, *upToIntent) {
	t.Helper()
	h := &house{stack.New(t, stack.Config{Stopped: true}), t}
	h.AddTenant(t, "acme", "meter")
	now := time.Now()
	ca := &upToIntent{CA: h.Issuance, now: now}
	return h, enroll.New(enroll.Config{Store: h.Store, Directory: h.Hierarchy, CA: ca, Registry: h.Registry, Gate: h.Approvals, Keys: h.Keypool, Now: func() time.Time { return now }}), ca
}

// A request from the RA's door up to its intent: the request read and its signature
// checked, the policy, the bytes that are to be signed, and their lint. (The race
// detector allocates too.)
func TestEnrollAllocations(t *testing.T) {
	const budget = 60
	h, ra, ca := newUpToIntent(t)
	r := h.request("meter", meterCSR(t, "SM-000001"))
	r.Idempotency = "order 17, row 1"
	got := testing.AllocsPerRun(100, func() {
		if _, err := ra.Enroll(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	})
	if got > budget || ca.items != 101 {
		t.Errorf("a request takes %v allocations up to its intent, more than %d (%d intents)", got, budget, ca.items)
	}
}

// A row of a batch, likewise.
func TestRowAllocations(t *testing.T) {
	const rows, budget = 125, 35
	h, ra, ca := newUpToIntent(t)
	chunk := enroll.Chunk{Batch: "batch"}
	for i := range rows {
		chunk.Rows = append(chunk.Rows, enroll.Row{No: int64(i + 1), Subject: enroll.Subject{CSR: meterCSR(t, fmt.Sprintf("SM-%06d", i))}})
	}
	lane, err := ra.Open(t.Context(), h.grant(access.ManageBatches), "meter", pki.ProtocolBatch)
	if err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(3, func() {
		if err := ra.IssueChunk(t.Context(), lane, chunk); err != nil {
			t.Fatal(err)
		}
	}) / rows
	if got > budget || ca.items != 4*rows {
		t.Errorf("a row takes %v allocations up to its intent, more than %d (%d intents)", got, budget, ca.items)
	}
}
