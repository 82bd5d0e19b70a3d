package stat

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

func TestHistogram(t *testing.T) {
	h := NewHistogram(1, 10)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, v := range []float64{0.5, 1, 2, 10, 11} {
				h.Observe(v)
			}
		})
	}
	all.Wait()
	count, sum, upTo := h.Read()
	if diff := cmp.Diff(map[float64]uint64{1: 8, 10: 16}, upTo); diff != "" || count != 20 || sum != 4*24.5 {
		t.Errorf("%d, %g, %s", count, sum, diff)
	}
	if !slices.IsSorted(Seconds()) {
		t.Error("bounds do not ascend")
	}
}

// TestByKind: every kind has its count.
func TestByKind(t *testing.T) {
	var b ByKind
	for _, k := range pki.Kinds() {
		b.Add(k)
		if b.Value(k) != 1 {
			t.Errorf("%s: %d", k, b.Value(k))
		}
	}
}
