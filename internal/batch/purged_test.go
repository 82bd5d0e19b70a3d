package batch_test

import (
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestSubmittedAfterPurge: of a row that is not kept any more the batch is still told;
// one that was never there is not found.
func TestSubmittedAfterPurge(t *testing.T) {
	s := newStack(t, stack.Config{})
	g := s.Permit(t, "acme", access.ReadBatches)
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON}, mixed(t))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	for _, kept := range []bool{true, false} {
		got, row, err := s.Batch.Submitted(t.Context(), g, b.ID, 7)
		if err != nil || got.ID != b.ID || (row != nil) != kept {
			t.Errorf("kept %t: %+v, %+v, %v", kept, got, row, err)
		}
		for _, n := range []int64{0, 8} {
			if _, _, err := s.Batch.Submitted(t.Context(), g, b.ID, n); pki.KindOf(err) != pki.NotFound {
				t.Errorf("kept %t: row %d: %v", kept, n, err)
			}
		}
		purge(t, s)
	}
}

// purge drops what was uploaded in all batches that are at their end.
func purge(t *testing.T, s *stack.Stack) {
	t.Helper()
	if _, err := s.Store.PurgeBatchRows(t.Context(), time.Now().Add(time.Hour), 1000); err != nil {
		t.Fatal(err)
	}
}
