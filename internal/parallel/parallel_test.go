package parallel

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

func TestEachCallsEveryIndexOnce(t *testing.T) {
	for _, n := range []int{0, 1, piece - 1, piece, piece + 1, 1000} {
		calls := make([]atomic.Int32, n)
		if err := Each(n, func(i int) error { calls[i].Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		for i := range calls {
			if got := calls[i].Load(); got != 1 {
				t.Errorf("n=%d: index %d was called %d times", n, i, got)
			}
		}
	}
}

func TestEachReturnsTheError(t *testing.T) {
	want := errors.New("seven")
	got := Each(1000, func(i int) error {
		if i == 7 {
			return want
		}
		return nil
	})
	if got != want {
		t.Errorf("Each returned %v", got)
	}
}

func TestEachReturnsAPanic(t *testing.T) {
	err := Each(1000, func(i int) error {
		if i == 7 {
			panic("seven")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "panic in piece 7 of the work: seven") {
		t.Errorf("Each returned %v", err)
	}
}
