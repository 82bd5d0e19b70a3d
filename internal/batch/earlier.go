package batch

import (
	"context"
	"fmt"
	"sort"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// maxEarlier bounds how far back Earlier goes.
const maxEarlier = 20

// An Attempt is a row of a batch whose retry had the same request.
type Attempt struct {
	Batch   *Batch
	Row     int64
	Refusal *issuance.Refusal // as the batch refused it
}

// Earlier returns where a row of a batch, which Submitted returned, was refused before if
// the batch is a retry: the last time first, up to the file that was uploaded or 20 batches
// back. It ends before a batch that the principal may not see.
func (s *Service) Earlier(ctx context.Context, g access.Permit, b *Batch, row int64) (all []Attempt, err error) {
	if b.RetryOf == "" {
		return nil, nil
	}
	end, err := s.endOf(ctx, b, row)
	if err != nil {
		return nil, err
	}
	for of := b; of.RetryOf != "" && len(all) < maxEarlier; {
		if of, err = s.visible(ctx, g, readRows(g), of.RetryOf); pki.KindOf(err) == pki.Forbidden {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		at := end.Origin
		if of.RetryOf != "" { // whose rows are in the order of the file, but not all of it
			at = 1 + int64(sort.Search(int(of.Rows), func(i int) bool {
				var r Result
				if err == nil {
					r, err = s.endOf(ctx, of, int64(i)+1)
				}
				return r.Origin >= end.Origin
			}))
			if err != nil {
				return nil, err
			}
		}
		was, err := s.endOf(ctx, of, at)
		if err != nil {
			return nil, err
		}
		all = append(all, Attempt{of, at, was.Refusal})
	}
	return all, nil
}

// endOf returns the end of a row of a batch that is over.
func (s *Service) endOf(ctx context.Context, b *Batch, row int64) (Result, error) {
	page, err := s.cfg.Store.Results(ctx, b.Tenant, b.ID, row-1, 1)
	if err != nil {
		return Result{}, err
	}
	if len(page) == 0 || page[0].Row != row {
		return Result{}, fmt.Errorf("row %d of batch %q has no end", row, b.ID)
	}
	return page[0], nil
}
