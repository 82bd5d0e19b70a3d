package batch

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Each try of a chunk whose key does not sign voids its serials, which stay in
// CRLs for as long as the certificates would have lived: tries become rare.
func TestFailingBatchIsTriedEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		b := &Batch{ID: "b"}
		unavailable := pki.Errorf(pki.Unavailable, "the key cannot sign")
		var pauses []time.Duration
		for range 10 {
			for range inFlight {
				s.note(b, unavailable)
			}
			began := time.Now()
			s.rest(t.Context(), b, unavailable)
			pauses = append(pauses, time.Since(began))
		}
		for i, p := range pauses {
			if i > 0 && p < pauses[i-1] || p > maxPause {
				t.Errorf("pause %d is %v after %v", i, p, pauses)
			}
		}
		if last := pauses[len(pauses)-1]; last != maxPause {
			t.Errorf("in the end a try each %v", last)
		}
		s.note(b, nil) // a chunk that could be issued
		began := time.Now()
		s.rest(t.Context(), b, errors.New("something else"))
		if p := time.Since(began); p != retryPause {
			t.Errorf("after a success a pause of %v", p)
		}
	})
}
