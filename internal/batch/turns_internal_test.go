package batch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Each try of a chunk whose key does not sign voids its serials, which stay in
// CRLs for as long as the certificates would have lived: tries become rare.
func TestFailingBatchIsTriedEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, b := newTurns(nil), []*Batch{{ID: "b", Tenant: "acme"}}
		unavailable := pki.Errorf(pki.Unavailable, "the key cannot sign")
		pause := func() (d time.Duration) {
			turns.rest("b")
			for begun := time.Now(); len(turns.Order(b)) == 0; time.Sleep(100 * time.Millisecond) {
				d = time.Since(begun) + 100*time.Millisecond
			}
			return d
		}
		var pauses []time.Duration
		for range 10 {
			for range inFlight {
				turns.note("b", unavailable)
			}
			pauses = append(pauses, pause())
		}
		for i, p := range pauses {
			if i > 0 && p < pauses[i-1] || p > maxPause {
				t.Errorf("pause %d is %v after %v", i, p, pauses)
			}
		}
		if last := pauses[len(pauses)-1]; last != maxPause {
			t.Errorf("in the end a try each %v", last)
		}
		turns.note("b", nil) // a chunk that could be issued
		if p := pause(); p != retryPause {
			t.Errorf("after a success a pause of %v", p)
		}
	})
}
