//go:build !race

package sqlstore

import (
	"crypto/sha256"
	"testing"
)

// A certificate is packed in one allocation, its result. (The race detector
// allocates too.)
func TestPackAllocations(t *testing.T) {
	der := make([]byte, 620)
	for i := range der {
		der[i] = byte(i * i)
	}
	r := newReference(1, 1, 1, der)
	other := append([]byte(nil), der...)
	copy(other[100:], make([]byte, 150))
	for _, against := range []*reference{nil, r} {
		got := testing.AllocsPerRun(100, func() { packSummed(against, other, sha256.Sum256(other)) })
		if got > 1 {
			t.Errorf("packing takes %v allocations, more than one", got)
		}
	}
}
