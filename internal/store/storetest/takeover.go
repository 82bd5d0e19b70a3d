package storetest

import (
	"errors"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

func testNodes(f *fixture) {
	first := f.epoch
	second, err := f.Enter(f.ctx, "node-b", f.now.Add(time.Minute))
	f.ok(err)
	third, err := f.Enter(f.ctx, f.node, f.now.Add(time.Minute))
	f.ok(err)
	if second <= first || third <= second {
		f.Errorf("epochs %d, %d and %d do not grow", first, second, third)
	}
	f.ok(f.Stay(f.ctx, f.node, third, f.now.Add(time.Hour)))
	for _, err := range []error{
		f.Stay(f.ctx, f.node, first, f.now.Add(time.Hour)),
		f.Stay(f.ctx, f.node, second, f.now.Add(time.Hour)),
		f.Stay(f.ctx, "node-c", 1, f.now.Add(time.Hour)),
	} {
		f.same(errors.Is(err, issuance.ErrFenced), true)
	}
	_, err = f.Adopt(f.ctx, f.node, first, f.now, 10)
	f.same(errors.Is(err, issuance.ErrFenced), true)
}

// testFencing: after another node took an intent over, its first node can record
// nothing of it.
func testFencing(f *fixture) {
	it := f.item("meter-1")
	in := f.intent(it)
	f.intend(in)
	other, err := f.Enter(f.ctx, "node-b", f.now.Add(10*time.Hour))
	f.ok(err)
	got, err := f.Adopt(f.ctx, "node-b", other, f.now, 10)
	f.ok(err)
	f.same(len(got), 0) // its node is alive

	f.later(2 * time.Hour)
	got, err = f.Adopt(f.ctx, "node-b", other, f.now, 10)
	f.ok(err)
	f.same(len(got), 1)
	sign(it)
	f.ok(f.Commit(f.ctx, f.now, []*issuance.Intent{in}, nil))
	f.same(errors.Is(in.Err, issuance.ErrFenced), true)
	_, err = f.Certificate(f.ctx, acme, in.Issuer, it.Serial)
	f.is(pki.NotFound, err)

	f.record(got[0]) // void
	f.isOpen(in, false)
	status, err := f.Status(f.ctx, in.Issuer, it.Serial)
	f.ok(err)
	f.same(status.Revocation != nil, true)
}

// testAdoption: a node that comes back finds its own intents whole.
func testAdoption(f *fixture) {
	f.issue(f.item("meter-0")) // so that there is a certificate like those to come
	a, b := f.item("meter-1"), f.item("")
	a.Idempotency, a.RequestHash, a.RenewSameKey = "order-1", hash("request"), true
	b.SharedKey, b.Placement = true, pki.Placement{}
	f.borrow(b)
	refused := f.item("meter-9")
	refused.Idempotency = "order-1"
	in := f.intent(a, refused, b)
	f.intend(in)
	second := f.intent(f.item("meter-2"))
	f.intend(second)
	got, err := f.Adopt(f.ctx, f.node, f.epoch, f.now.Add(48*time.Hour), 10)
	f.ok(err)
	f.same(len(got), 0) // they are in its hands

	before := f.epoch
	f.enter()
	got, err = f.Adopt(f.ctx, f.node, f.epoch, f.now, 1)
	f.ok(err)
	want := f.intent(a, b)
	want.ID, want.Attempt = in.ID, 2
	f.same(got, []*issuance.Intent{want})
	got, err = f.Adopt(f.ctx, f.node, f.epoch, f.now, 10)
	f.ok(err)
	f.same(len(got), 1)
	f.same(got[0].ID, second.ID)

	// The right epoch with the wrong attempt is not enough either.
	sign(a, b)
	in.Epoch = f.epoch
	for _, attempt := range []int{1, 3} {
		in.Attempt = attempt
		f.ok(f.Commit(f.ctx, f.now, []*issuance.Intent{in}, nil))
		f.same(errors.Is(in.Err, issuance.ErrFenced), true)
	}
	in.Attempt, in.Epoch = 2, before
	f.ok(f.Commit(f.ctx, f.now, []*issuance.Intent{in}, nil))
	f.same(errors.Is(in.Err, issuance.ErrFenced), true)
	in.Epoch = f.epoch
	f.record(in)
	cert, err := f.Certificate(f.ctx, partner, in.Issuer, b.Serial)
	f.ok(err)
	f.same(cert.Place, 1)
}
