package server

import "testing"

func TestPercentOf(t *testing.T) {
	const mib = 1 << 20
	for live, want := range map[uint64]int{0: 400, 1: 400, 5 * mib: 400, 10 * mib: 400, 16 * mib: 250, 20 * mib: 200, 40 * mib: 100, 4096 * mib: 100} {
		if got := percentOf(live); got != want {
			t.Errorf("%d MiB: %d %%, want %d", live/mib, got, want)
		}
	}
}
