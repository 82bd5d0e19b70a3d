package simulate

import (
	"errors"
	"iter"
	"testing"
)

// numbers yields 0 to n-1, and then err where there is one.
func numbers(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

func TestOrderedKeepsOrder(t *testing.T) {
	next := 0
	err := ordered(t.Context(), numbers(1000, nil), func(i int) (int, error) { return 2 * i, nil }, func(out int) error {
		if out != 2*next {
			t.Errorf("got %d as number %d", out, next)
		}
		next++
		return nil
	})
	if err != nil || next != 1000 {
		t.Errorf("got %d outputs and %v, want 1000", next, err)
	}
}

func TestOrderedEndsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	at := func(n int) func(int) error {
		return func(i int) error {
			if i == n {
				return broken
			}
			return nil
		}
	}
	tests := []struct {
		name       string
		inputs     iter.Seq2[int, error]
		work, sink func(int) error
	}{
		{"input", numbers(500, broken), at(-1), at(-1)},
		{"work", numbers(1000, nil), at(500), at(-1)},
		{"sink", numbers(1000, nil), at(-1), at(500)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			last := -1
			err := ordered(t.Context(), test.inputs, func(i int) (int, error) { return i, test.work(i) }, func(i int) error {
				last = i
				return test.sink(i)
			})
			if !errors.Is(err, broken) || last > 500 {
				t.Errorf("got %v after number %d", err, last)
			}
		})
	}
}
