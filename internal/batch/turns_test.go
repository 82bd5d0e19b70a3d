package batch_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// slowRA takes its time for each chunk, issues nothing, and notes whose they were.
type slowRA struct {
	batch.RA
	mu     sync.Mutex
	chunks []pki.BatchID // guarded by mu
}

func (s *slowRA) IssueChunk(_ context.Context, _ *enroll.Lane, c enroll.Chunk) error {
	s.mu.Lock()
	s.chunks = append(s.chunks, c.Batch)
	s.mu.Unlock()
	time.Sleep(2 * time.Millisecond)
	return nil
}

// TestSmallBatchPassesLargeOnes hands in a batch of two rows behind more large ones
// than there are workers.
func TestSmallBatchPassesLargeOnes(t *testing.T) {
	const large, chunks = 6, 40
	s := newStack(t, stack.Config{Stopped: true})
	ra := &slowRA{RA: s.Enroll}
	service := batch.New(batch.Config{Store: s.Store, RA: ra, Now: s.Now, Log: slog.New(slog.DiscardHandler)})
	hand := func(rows int) pki.BatchID {
		t.Helper()
		b, err := service.Submit(t.Context(), s.Permit(t, "acme", access.ManageBatches), batch.Submission{Endpoint: "acme.meter", Format: batch.NDJSON},
			strings.NewReader(strings.Repeat(`{"csr":"AA==","device":"x"}`+"\n", rows)))
		if err != nil {
			t.Fatal(err)
		}
		return b.ID
	}
	for range large {
		hand(chunks * batch.ChunkRows)
	}
	small := hand(2)
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return service.Run(ctx) })
	defer g.Wait()
	defer stop()
	for {
		ra.mu.Lock()
		seen := ra.chunks
		ra.mu.Unlock()
		for i, id := range seen {
			if id != small {
				continue
			}
			if i >= large*chunks/2 {
				t.Errorf("the small batch went on after %d of %d chunks of the large ones", i, large*chunks)
			}
			return
		}
		if len(seen) >= large*chunks {
			t.Fatal("the small batch did not have its turn")
		}
		time.Sleep(time.Millisecond)
	}
}
