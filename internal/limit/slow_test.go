package limit

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/pando-pki/pando/internal/pki"
)

// TestMessages: SCEP has places of its own, of which a source has a part, and neither it
// nor status keeps the other out.
func TestMessages(t *testing.T) {
	l, _ := newLimits(Config{Answers: 32, Messages: 32})
	from := func(remote string, enter func(string) (func(), error)) func() error {
		return func() error { _, err := enter(remote); return err }
	}
	if n := count(t, 5, pki.RateLimited, from("192.0.2.1:1", l.Message)); n != 2 {
		t.Errorf("%d messages of one source", n)
	}
	if n := count(t, 50, pki.Unavailable, from("127.0.0.1:1", l.Message)); n != 30 {
		t.Errorf("%d messages of this machine", n)
	}
	if n := count(t, 50, pki.Unavailable, from("127.0.0.1:1", l.Answer)); n != 32 {
		t.Errorf("%d answers about status beside messages that have all their places", n)
	}
	if taken, size, ok := l.Places(Messages); taken != 32 || size != 32 || !ok || l.Refused(Messages) != 23 {
		t.Errorf("%d of %d, %d refused", taken, size, l.Refused(Messages))
	}
}

// TestSlow: one at a time, a few wait, and a family has a quarter of these.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLimits(Config{Family: family})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first, err := l.Slow(ctx, "a-1")
		if err != nil {
			t.Fatal(err)
		}
		var turns, ended atomic.Int32
		for n := range 3 { // of three children: with the first all that the family has
			go func() {
				leave, err := l.Slow(ctx, pki.TenantID(fmt.Sprint("a-", n)))
				if err != nil {
					ended.Add(1)
					return
				}
				turns.Add(1)
				leave()
			}()
			synctest.Wait()
		}
		if n := count(t, 3, pki.RateLimited, func() error { _, err := l.Slow(ctx, "a"); return err }); n != 0 {
			t.Errorf("%d more of the family", n)
		}
		waiting, stop := context.WithCancel(ctx)
		for n := range 12 {
			go func() {
				if _, err := l.Slow(waiting, pki.TenantID(fmt.Sprint("t", n))); err != nil {
					ended.Add(1)
				}
			}()
			synctest.Wait()
		}
		if n := count(t, 3, pki.Unavailable, func() error { _, err := l.Slow(ctx, "z"); return err }); n != 0 {
			t.Errorf("%d more of all", n)
		}
		stop()
		synctest.Wait()
		if turns.Load() != 0 || ended.Load() != 12 {
			t.Errorf("%d had a turn beside the first, %d went away", turns.Load(), ended.Load())
		}
		first()
		synctest.Wait()
		if turns.Load() != 3 || ended.Load() != 12 {
			t.Errorf("%d had their turn", turns.Load())
		}
	})
}
