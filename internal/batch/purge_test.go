package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
)

// A shelf is a store of chunks of one batch, each of no rows: some cannot be read, and
// some it does not let go.
type shelf struct {
	batch.Store
	here, damaged, stuck map[int]bool // by number
	end                  int          // above all numbers
	read                 int          // chunks that were asked for
}

func newShelf(chunks int) *shelf {
	s := &shelf{here: make(map[int]bool), damaged: make(map[int]bool), stuck: make(map[int]bool), end: chunks}
	for no := range chunks {
		s.here[no] = true
	}
	return s
}

func (s *shelf) PurgeableRows(_ context.Context, _ time.Time, after batch.ChunkID, limit int) (all []*batch.Purge, err error) {
	first := 0
	if after.Batch != "" {
		first = after.No + 1
	}
	for no := first; no < s.end && len(all) < limit; no++ {
		if s.here[no] {
			all = append(all, &batch.Purge{Tenant: "acme", Batch: "b", Chunk: batch.Chunk{No: no, First: int64(no) + 1}})
		}
	}
	return all, nil
}

func (s *shelf) Results(_ context.Context, _ pki.TenantID, _ pki.BatchID, after int64, _ int) ([]batch.Result, error) {
	s.read++
	if s.damaged[int(after)] {
		return nil, errors.New("it is damaged")
	}
	return nil, nil
}

func (s *shelf) PurgeRows(_ context.Context, _ time.Time, chunks ...*batch.Purge) (int, error) {
	for _, p := range chunks {
		if s.stuck[p.Chunk.No] {
			return 0, errors.New("it is stuck")
		}
	}
	for _, p := range chunks {
		delete(s.here, p.Chunk.No)
	}
	return len(chunks), nil
}

// round drops rows until that is at its end, as housekeeping does.
func (s *shelf) round(t *testing.T, purger *batch.Service) (purged int, err error) {
	t.Helper()
	const limit = 8
	for {
		n, err := purger.PurgeRows(t.Context(), time.Now(), limit)
		purged += n
		if err != nil || n < limit {
			return purged, err
		}
	}
}

func (s *shelf) purger() *batch.Service {
	return batch.New(batch.Config{Store: s, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

// TestUnreadableChunksInFront: however many chunks cannot be read, what is behind them is
// dropped. A round says how many they are, of all that it came to, and reads no more of
// them than it may; the next one goes on from there, and after the last chunk from the
// beginning.
func TestUnreadableChunksInFront(t *testing.T) {
	for _, damaged := range []int{1, 64, 65, 1000, 1024, 5000} {
		t.Run(fmt.Sprint(damaged), func(t *testing.T) {
			s := newShelf(damaged + 1)
			for no := range damaged {
				s.damaged[no] = true
			}
			purger := s.purger()
			for left := damaged; s.here[damaged]; {
				s.read = 0
				_, err := s.round(t, purger)
				told := min(left, 1024)
				left -= told
				if want := fmt.Sprintf("%d chunks of rows cannot be read: rows ", told); told > 0 && (!strings.HasPrefix(fmt.Sprint(err), want) || strings.Count(err.Error(), "stay") > 8) {
					t.Fatalf("a round says: %v; want that of %d chunks", err, told)
				}
				if s.read > 1024+8 {
					t.Fatalf("%d chunks are read in a round", s.read)
				}
				if told == 0 && s.here[damaged] {
					t.Fatal("the last chunk is there")
				}
			}
			if len(s.here) != damaged {
				t.Errorf("%d chunks are left", len(s.here))
			}
			clear(s.damaged)
			for range damaged/1024 + 2 {
				if _, err := s.round(t, purger); err != nil {
					t.Error(err)
				}
			}
			if len(s.here) != 0 {
				t.Errorf("%d chunks are left that can be read again", len(s.here))
			}
		})
	}
}

// TestStuckChunk: where the store does not let chunks go, the round ends with that, and the
// next one goes on behind them.
func TestStuckChunk(t *testing.T) {
	s := newShelf(40)
	s.stuck[3] = true
	purger := s.purger()
	for _, want := range []struct {
		purged int
		stuck  bool
	}{{0, true}, {32, false}, {0, true}, {0, false}} {
		n, err := s.round(t, purger)
		if n != want.purged || (err != nil) != want.stuck {
			t.Errorf("%d dropped, %v; want %+v", n, err, want)
		}
	}
	clear(s.stuck)
	if n, err := s.round(t, purger); n != 8 || err != nil {
		t.Errorf("%d dropped, %v", n, err)
	}
}
