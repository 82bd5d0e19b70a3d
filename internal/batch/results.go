package batch

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// resultPage is how many rows are read from the store at a time.
const resultPage = 500

// Results yields the ends of rows after the given row number, in input order; it
// stops at the first row without an end, so that a reader who comes again with
// the last row it saw misses none. While a batch is Checking or Checked it
// yields what would be refused. It needs access.ReadBatches.
func (s *Service) Results(ctx context.Context, g access.Permit, id pki.BatchID, after int64) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		b, err := s.head(ctx, g, access.ReadBatches, id)
		if err != nil {
			yield(Result{}, err)
			return
		}
		issuing := b.State != Checking && b.State != Checked
		for {
			page, err := s.cfg.Store.Results(ctx, g.Tenant(), id, after, resultPage)
			if err != nil {
				yield(Result{}, err)
				return
			}
			for _, r := range page {
				if b.PairEndpoint != "" {
					r.PairRow = other(r.Row)
				}
				if issuing && r.Row != after+1 || !yield(r, nil) {
					return
				}
				after = r.Row
			}
			if len(page) < resultPage || after >= b.Rows {
				return
			}
		}
	}
}

// other returns the row of the other certificate of a pair.
func other(row int64) int64 {
	if row%2 == 1 {
		return row + 1
	}
	return row - 1
}

// Submitted returns the request of a row, without its challenge and as tbs.CutKey leaves
// it, and its batch; nil where the rows of the batch were dropped and the request is not
// kept. It needs access.ReadBatches, or access.ReadCertificates, since a certificate's
// request belongs to it.
func (s *Service) Submitted(ctx context.Context, g access.Permit, id pki.BatchID, row int64) (*Batch, []byte, error) {
	b, err := s.visible(ctx, g, readRows(g), id)
	if err != nil {
		return nil, nil, err
	}
	first, requests, err := s.Requests(ctx, g.Tenant(), id, row)
	if pki.KindOf(err) == pki.NotFound && row >= 1 && row <= b.Rows && b.over() {
		return b, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return b, requests[row-first], nil
}

// readRows returns by which permission somebody sees what was submitted.
func readRows(g access.Permit) access.Permission {
	if g.CheckSome(access.ReadBatches) != nil {
		return access.ReadCertificates
	}
	return access.ReadBatches
}

// over reports whether the batch is at its end. Its rows may be dropped from then on;
// what became of them stays.
func (b *Batch) over() bool { return !b.Finished.IsZero() }

// rowsGone says, of a batch whose rows are not kept any more, why that is.
func (b *Batch) rowsGone() string {
	return fmt.Sprintf("the batch ended at %s, and what was uploaded is kept for a while after that (retention.batch_rows of the server's configuration)", b.Finished.UTC().Format(time.RFC3339))
}

// RequestGone says why the request of a certificate of the batch is not kept.
func (b *Batch) RequestGone() string {
	return fmt.Sprintf("the batch ended at %s, and its rows were dropped a while after that (retention.batch_rows of the server's configuration) by an earlier version, which kept no request of them", b.Finished.UTC().Format(time.RFC3339))
}

// watchEvery is how often Watch looks.
const watchEvery = 250 * time.Millisecond

// Watch yields the batch now and after each change of its state or its counts,
// until it is Checked, Paused, Cancelled or Done, or ctx ends. It needs
// access.ReadBatches.
func (s *Service) Watch(ctx context.Context, g access.Permit, id pki.BatchID) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		var last Batch
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			b, err := s.Batch(ctx, g, id)
			if err != nil {
				yield(nil, err)
				return
			}
			if !reflect.DeepEqual(*b, last) {
				if !yield(b, nil) {
					return
				}
				last = *b
			}
			switch b.State {
			case Checked, Waiting, Paused, Cancelled, Done:
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}
