package simulate

import (
	"context"
	"iter"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// ordered calls work for each input on all cores, and sink for each output in the
// order of the inputs, from one goroutine. It holds a few inputs for each core. It
// ends at the first error, and does not call work or sink after it.
func ordered[In, Out any](ctx context.Context, inputs iter.Seq2[In, error], work func(In) (Out, error), sink func(Out) error) error {
	type job struct {
		in   In
		done chan Out // of room for one
	}
	workers := runtime.GOMAXPROCS(0)
	group, ctx := errgroup.WithContext(ctx)
	todo := make(chan job)
	inOrder := make(chan job, 4*workers)

	group.Go(func() error {
		defer close(todo)
		defer close(inOrder)
		for in, err := range inputs {
			if err != nil {
				return err
			}
			j := job{in, make(chan Out, 1)}
			for _, queue := range []chan job{inOrder, todo} {
				select {
				case queue <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	for range workers {
		group.Go(func() error {
			for j := range todo {
				out, err := work(j.in)
				if err != nil {
					return err
				}
				j.done <- out
			}
			return nil
		})
	}
	group.Go(func() error {
		for j := range inOrder {
			select {
			case out := <-j.done:
				if err := sink(out); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}
