package storetest

import (
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// testRestart closes the store between all steps.
func testRestart(f *fixture) {
	a, b := f.item("meter-1"), f.item("meter-2")
	in := f.issue(a, b)
	f.reopen()
	got, err := f.Certificate(f.ctx, acme, in.Issuer, b.Serial)
	f.ok(err)
	f.same(got, f.certificate(in, 1))

	c := f.item("meter-3")
	c.Idempotency = "order-1"
	open := f.intent(c)
	f.intend(open)
	f.reopen()
	f.isOpen(open, true)
	epoch := f.epoch
	f.enter()
	if f.epoch <= epoch {
		f.Errorf("epoch %d follows %d", f.epoch, epoch)
	}
	adopted, err := f.Adopt(f.ctx, f.node, f.epoch, f.now, 10)
	f.ok(err)
	want := f.intent(c)
	want.ID, want.Attempt = open.ID, 2
	f.same(adopted, []*issuance.Intent{want})
	sign(adopted[0].Items...)
	f.record(adopted...)
	f.reopen()
	all, _ := f.certificates(acme, "", nil, 10)
	var devices []pki.DeviceID
	for _, cert := range all {
		devices = append(devices, cert.Device)
	}
	f.same(devices, []pki.DeviceID{"meter-3", "meter-2", "meter-1"})

	number, err := f.ReserveCRLNumber(f.ctx, in.Issuer, 0)
	f.ok(err)
	f.reopen()
	next, err := f.ReserveCRLNumber(f.ctx, in.Issuer, 0)
	f.ok(err)
	f.same(next, number+1)
	again := f.item("meter-3")
	again.Idempotency = "order-1"
	f.intend(f.intent(again))
	f.same(again.Earlier != nil, true)
}
