package batch_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestRetry: the refused rows of a batch, of the kinds asked for, are a new batch
// with the same rules; it is the same batch under the same key, and no row is in
// two retries.
func TestRetry(t *testing.T) {
	s := newStack(t, stack.Config{})
	g := s.Permit(t, "acme", access.ManageBatches)
	file := mixed(t).Bytes()
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON, Defaults: pki.Placement{Lot: "lot-1"}}, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	retry := func(id pki.BatchID, key string, kinds ...pki.Kind) *batch.Batch {
		t.Helper()
		got, err := s.Batch.Retry(t.Context(), g, id, kinds, key)
		if err != nil {
			t.Fatal(err)
		}
		return rest(t, s, got.ID)
	}
	first := retry(b.ID, "once", pki.DuplicateKey, pki.BadProof)
	if first.State != batch.Done || first.Rows != 2 || first.RetryOf != b.ID || first.RetryKinds != "bad-proof,duplicate-key" || first.Defaults != b.Defaults {
		t.Errorf("the retry %+v", first)
	}
	// The key got its certificate in the first batch, and gets no second.
	if diff := cmp.Diff([]string{"refused duplicate-key", "refused bad-proof"}, ends(t, s, first.ID)); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	if again := retry(b.ID, "once", pki.BadProof, pki.DuplicateKey, pki.BadProof); again.ID != first.ID {
		t.Errorf("again it is batch %s", again.ID)
	}
	if _, err := s.Batch.Retry(t.Context(), g, b.ID, nil, "once"); pki.KindOf(err) != pki.Conflict {
		t.Errorf("other kinds under the key: %v", err)
	}
	if _, err := s.Batch.Retry(t.Context(), g, b.ID, []pki.Kind{pki.BadProof}, ""); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a row in a second retry: %v", err)
	}
	if all := retry(b.ID, ""); all.Rows != 3 {
		t.Errorf("the rest has %d rows", all.Rows)
	}
	second := retry(first.ID, "")
	var rows []string
	for r, err := range s.Batch.Results(t.Context(), s.Permit(t, "acme", access.ReadBatches), second.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf("%d of %d", r.Row, r.Origin))
	}
	if diff := cmp.Diff([]string{"1 of 2", "2 of 4"}, rows); diff != "" {
		t.Errorf("rows of the retry of the retry (-want +got):\n%s", diff)
	}
}

// TestRetryRefuses: who may not, what is not there, and what is not at its end.
func TestRetryRefuses(t *testing.T) {
	s := newStack(t, stack.Config{})
	s.AddTenant(t, "globex", "meter")
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON, DryRun: true}, mixed(t))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	for _, c := range []struct {
		name string
		g    access.Permit
		id   pki.BatchID
		want pki.Kind
	}{
		{"after a dry run", s.Permit(t, "acme", access.ManageBatches), b.ID, pki.NotReady},
		{"no batch", s.Permit(t, "acme", access.ManageBatches), "none", pki.NotFound},
		{"as a stranger", s.Permit(t, "globex", access.ManageBatches), b.ID, pki.NotFound},
		{"with another permission", s.Permit(t, "acme", access.ReadBatches), b.ID, pki.Forbidden},
	} {
		if _, err := s.Batch.Retry(t.Context(), c.g, c.id, nil, ""); pki.KindOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestRetryOfNothing: a retry that finds no row, and one of rows that are not kept any
// more, are refused and leave no batch; one that was made already is still the same.
func TestRetryOfNothing(t *testing.T) {
	s := newStack(t, stack.Config{})
	g := s.Permit(t, "acme", access.ManageBatches)
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON}, mixed(t))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	made, err := s.Batch.Retry(t.Context(), g, b.ID, []pki.Kind{pki.BadProof}, "made")
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, made.ID)
	refused := func(want string, key string, kinds ...pki.Kind) {
		t.Helper()
		_, err := s.Batch.Retry(t.Context(), g, b.ID, kinds, key)
		if pki.KindOf(err) != pki.Conflict || !strings.Contains(pki.DetailOf(err), want) {
			t.Errorf("%v, want %q", err, want)
		}
		all, err := s.Batch.Batches(t.Context(), s.Permit(t, "acme", access.ReadBatches), "", 10)
		if err != nil || len(all) != 2 {
			t.Errorf("%d batches, %v: want the first and its retry", len(all), err)
		}
	}
	for _, key := range []string{"", "key"} {
		refused("no refused rows of the kind unavailable", key, pki.Unavailable)
		refused("no refused rows of the kind bad-proof", key, pki.BadProof)
	}
	purge(t, s)
	for _, key := range []string{"", "key"} {
		refused("the rows of the batch are not kept any more", key)
		refused("'pando batch results "+string(b.ID)+"' says which", key, pki.DuplicateKey)
		refused("no refused rows of the kind bad-proof", key, pki.BadProof)
	}
	again, err := s.Batch.Retry(t.Context(), g, b.ID, []pki.Kind{pki.BadProof}, "made")
	if err != nil || again.ID != made.ID {
		t.Errorf("the same retry: %v, %v", again, err)
	}
}

// An interruptedStore has something happen before a batch is made.
type interruptedStore struct {
	batch.Store
	making func()
}

func (s interruptedStore) CreateBatch(ctx context.Context, b *batch.Batch, e pki.Event) (*batch.Batch, bool, error) {
	s.making()
	return s.Store.CreateBatch(ctx, b, e)
}

// TestRetryTooLate: a retry is refused and leaves no batch where its rows are dropped after
// they were looked for, or retried by another, or its lot is closed.
func TestRetryTooLate(t *testing.T) {
	for _, test := range []struct {
		name, want string
		meanwhile  func(t *testing.T, s *stack.Stack, of pki.BatchID) (others int)
	}{
		{"the rows are dropped", "the rows of the batch are not kept any more", func(t *testing.T, s *stack.Stack, _ pki.BatchID) int { purge(t, s); return 0 }},
		{"another retries them", "no refused rows that are not retried already", func(t *testing.T, s *stack.Stack, of pki.BatchID) int {
			b, err := s.Batch.Retry(t.Context(), s.Permit(t, "acme", access.ManageBatches), of, nil, "other")
			if err != nil {
				t.Fatal(err)
			}
			rest(t, s, b.ID)
			return 1
		}},
		{"the lot is closed", "lot-1", func(t *testing.T, s *stack.Stack, _ pki.BatchID) int {
			none := int64(0)
			if _, err := s.LotReports.Close(t.Context(), s.Permit(t, "acme", access.ManageRegistry), "lot-1", &none); err != nil {
				t.Fatal(err)
			}
			return 0
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStack(t, stack.Config{})
			b, err := submit(t, s, batch.Submission{Format: batch.NDJSON, Defaults: pki.Placement{Lot: "lot-1"}}, mixed(t))
			if err != nil {
				t.Fatal(err)
			}
			rest(t, s, b.ID)
			left, once := 1, sync.Once{}
			late := batch.New(batch.Config{Store: interruptedStore{s.Store, func() { once.Do(func() { left += test.meanwhile(t, s, b.ID) }) }}, RA: s.Enroll, Gate: s.Approvals, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			_, err = late.Retry(t.Context(), s.Permit(t, "acme", access.ManageBatches), b.ID, nil, "late")
			if pki.KindOf(err) != pki.Conflict || !strings.Contains(pki.DetailOf(err), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			all, err := s.Batch.Batches(t.Context(), s.Permit(t, "acme", access.ReadBatches), "", 10)
			if err != nil || len(all) != left {
				t.Errorf("%d batches, %v: want %d", len(all), err, left)
			}
		})
	}
}
