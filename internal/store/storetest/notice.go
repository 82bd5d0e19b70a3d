package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
)

// testNotices: what validators are to be told stays until it is dropped, and is told to each
// in order of when it is due.
func testNotices(f *fixture) {
	one := enrolauth.Notice{Tenant: acme, Key: "1", Idempotency: "one", Endpoint: "meter", Validator: "intune", Transaction: "t-1", Protocol: pki.ProtocolSCEP, Device: "SM-1",
		Sealed: []byte{1}, Due: f.now.Add(time.Minute), Until: f.now.Add(time.Hour)}
	two := one
	two.Tenant, two.Due = stranger, f.now
	other := one
	other.Key, other.Idempotency, other.Validator = "2", "", "own"
	for _, n := range []enrolauth.Notice{one, two, other} {
		f.ok(f.PutNotice(f.ctx, &n))
	}
	of := func(want ...string) {
		f.Helper()
		got, err := f.NoticeValidators(f.ctx)
		f.ok(err)
		f.same(got, want)
	}
	due := func(after time.Duration, limit int, want ...enrolauth.Notice) {
		f.Helper()
		got, err := f.DueNotices(f.ctx, "intune", f.now.Add(after), limit)
		f.ok(err)
		f.same(len(got), len(want))
		for i := range min(len(got), len(want)) {
			f.same(*got[i], want[i])
		}
	}
	due(-time.Second, 9)
	due(0, 9, two)
	due(time.Minute, 9, two, one)
	due(time.Minute, 1, two)

	of("intune", "own")
	if got, err := f.DueNotices(f.ctx, "own", f.now.Add(time.Hour), 9); err != nil || len(got) != 1 || got[0].Key != "2" {
		f.Errorf("%+v, %v", got, err)
	}
	if got, err := f.DueNotices(f.ctx, "none", f.now.Add(time.Hour), 9); err != nil || len(got) != 0 {
		f.Errorf("%+v, %v", got, err)
	}

	one.Idempotency, one.Sealed, one.Failure, one.Until = "begun", []byte{2}, "refused", f.now.Add(2*time.Hour)
	f.ok(f.PutNotice(f.ctx, &one))
	due(time.Minute, 9, two, one)

	again := one
	again.Idempotency = ""
	f.ok(f.PutNotice(f.ctx, &again))
	due(time.Minute, 9, two, one)

	read := two
	f.ok(f.PostponeNotice(f.ctx, &read, f.now.Add(2*time.Minute), 3))
	two.Due, two.Attempts = f.now.Add(2*time.Minute), 3
	due(2*time.Minute, 9, one, two)
	// Neither reaches another's, nor what took the place of what was read.
	elsewhere, sealed := two, two
	elsewhere.Key, sealed.Sealed = "none", []byte{9}
	for _, n := range []*enrolauth.Notice{&read, &elsewhere, &sealed} {
		f.ok(f.PostponeNotice(f.ctx, n, f.now, 1))
		f.ok(f.DropNotice(f.ctx, n))
	}
	due(2*time.Minute, 9, one, two)

	f.ok(f.DropNotice(f.ctx, &two))
	due(time.Hour, 9, one)
	f.ok(f.DropNotice(f.ctx, &one))
	due(time.Hour, 9)
	of("own")
	f.ok(f.DropNotice(f.ctx, &other))
	of()
}
