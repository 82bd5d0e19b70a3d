package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// testWaitingBatches: a batch that waits is among the denied ones while its newest
// change is over and was not executed, and nobody's chunks go on meanwhile.
func testWaitingBatches(f *fixture) {
	waits := f.upload(1, batch.Waiting)
	f.same(waits.State, batch.Waiting)
	running := f.upload(1, batch.Running)
	active, err := f.Active(f.ctx, batch.Waiting)
	f.ok(err)
	f.same(len(active), 1)
	f.same(active[0].ID, waits.ID)
	in := f.chunkIntent(waits.ID, 0, 1)
	f.ok(f.Commit(f.ctx, f.now, nil, []*issuance.Intent{in}))
	f.is(pki.Conflict, in.Err) // nothing is issued before it is approved

	denied := func() []batch.Denied {
		f.Helper()
		all, err := f.Denied(f.ctx)
		f.ok(err)
		return all
	}
	ask := func(n int, id pki.BatchID) *approval.Change {
		f.Helper()
		c := f.newChange(n)
		c.Kind, c.Target = approval.IssueBatch, "batch:"+string(id)
		c.Hash = approval.HashOf(c.Tenant, c.Kind, c.Target, c.Payload)
		_, err := f.PutChange(f.ctx, c, false, few, f.event(acme, "change.request"))
		f.ok(err)
		return c
	}
	f.same(len(denied()), 0) // it has no change
	changeOf := func(want pki.ChangeID) {
		f.Helper()
		b, err := f.Batch(f.ctx, acme, waits.ID)
		f.ok(err)
		f.same(b.Needs, "")
		f.same(b.Change, want)
	}
	changeOf("")
	c := ask(1, waits.ID)
	changeOf(c.ID) // also of a batch that needed nobody when it was made
	theirs := *c   // of another tenant, about a batch of the same name
	theirs.ID, theirs.Tenant = pki.ChangeID(pki.NewID(f.now)), stranger
	theirs.Hash = approval.HashOf(theirs.Tenant, theirs.Kind, theirs.Target, theirs.Payload)
	_, err = f.PutChange(f.ctx, &theirs, false, few, f.event(stranger, "change.request"))
	f.ok(err)
	f.ok(f.EndChange(f.ctx, stranger, theirs.ID, approval.Pending, approval.Withdrawn, "", f.now, f.event(stranger, "change.withdraw")))
	f.same(len(denied()), 0)

	f.ok(f.Decide(f.ctx, acme, c.ID, 0, f.decision(c, "token:officer", approval.Refuse), approval.Refused, "not this year", f.event(acme, "change.refuse")))
	want := batch.Denied{Tenant: acme, ID: waits.ID, Change: c.ID, State: approval.Refused, Outcome: "not this year"}
	f.same(denied(), []batch.Denied{want})
	f.reopen()
	f.same(denied(), []batch.Denied{want})
	changeOf(ask(2, waits.ID).ID) // is asked for once more
	f.same(len(denied()), 0)

	other := ask(3, running.ID) // it does not wait
	f.ok(f.EndChange(f.ctx, acme, other.ID, approval.Pending, approval.Expired, "", f.now.Add(time.Hour), f.event(acme, "change.expire")))
	f.same(len(denied()), 0)
	f.is(pki.NotFound, f.SetState(f.ctx, stranger, waits.ID, []batch.State{batch.Waiting}, batch.Running, f.now, f.event(stranger, "batch.approve")))
	f.ok(f.SetState(f.ctx, acme, waits.ID, []batch.State{batch.Waiting}, batch.Running, f.now, f.event(acme, "batch.approve")))
	f.is(pki.Conflict, f.SetState(f.ctx, acme, waits.ID, []batch.State{batch.Waiting}, batch.Cancelled, f.now, f.event(acme, "batch.cancel")))
}
