package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// testClock: the store's clock goes on with commits, and back only by order.
func testClock(f *fixture) {
	at := func() time.Time {
		f.Helper()
		now, err := f.Clock(f.ctx)
		f.ok(err)
		return now
	}
	f.same(at(), time.Time{})
	f.issue(f.item("meter-1"))
	first := f.now
	f.same(at(), first)
	f.ok(f.Commit(f.ctx, first.Add(time.Hour), nil, nil))
	f.ok(f.Commit(f.ctx, first, nil, nil))
	f.same(at(), first.Add(time.Hour))
	f.ok(f.AcceptClock(f.ctx, first, f.event(pki.Platform, "clock.accept")))
	f.same(at(), first)
	f.same(f.actions(pki.Platform), []string{"clock.accept"})
	f.reopen()
	f.same(at(), first)
}
