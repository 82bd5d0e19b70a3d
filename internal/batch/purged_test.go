package batch_test

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/store/sqlstore"
	"github.com/pando-pki/pando/internal/tbs"
)

// restored returns the requests of a batch of acme's by row, each with the key of its
// certificate; nil of a row of which none is kept.
func restored(t testing.TB, s *batch.Service, store batch.Store, b *batch.Batch) [][]byte {
	t.Helper()
	ends, err := store.Results(t.Context(), b.Tenant, b.ID, 0, int(b.Rows))
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]byte, b.Rows)
	for _, r := range ends {
		first, requests, err := s.Requests(t.Context(), b.Tenant, b.ID, r.Row)
		if err != nil {
			t.Fatal(err)
		}
		cut := requests[r.Row-first]
		switch {
		case len(cut) == 0:
		case r.Certificate == nil:
			all[r.Row-1] = cut
		default:
			of, err := tbs.ParseCertificate(r.Certificate.DER)
			if err != nil {
				t.Fatal(err)
			}
			if all[r.Row-1], err = tbs.RestoreKey(cut, of.Key.SPKI()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// TestRequestsAfterPurge: when the rows of a batch are dropped the request of each row that
// was issued is there to the octet, but for its challenge, and of no other row.
func TestRequestsAfterPurge(t *testing.T) {
	s := newStack(t, stack.Config{})
	secret := pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-7"},
		pandotest.Attribute{OID: der.OIDChallengePassword, Value: append([]byte{12, 6}, "secret"...)})
	file := mixed(t)
	fmt.Fprintf(file, "{\"csr\":%q,\"device\":\"SM-7\"}\n", base64.StdEncoding.EncodeToString(secret))
	b, err := submit(t, s, batch.Submission{Format: batch.NDJSON}, file)
	if err != nil {
		t.Fatal(err)
	}
	b = rest(t, s, b.ID)
	if b.Issued != 3 || b.Rows != 8 {
		t.Fatalf("%d of %d issued", b.Issued, b.Rows)
	}
	before := restored(t, s.Batch, s.Store, b)
	if !bytes.Equal(before[7], tbs.BlankChallenge(secret)) || bytes.Contains(before[7], []byte("secret")) {
		t.Errorf("the challenge: %x", before[7])
	}
	purge(t, s)
	after := restored(t, s.Batch, s.Store, b)
	for i, issued := range []bool{true, false, false, false, false, true, false, true} {
		if issued != (len(after[i]) > 0) || issued && !bytes.Equal(after[i], before[i]) {
			t.Errorf("row %d: %x after %x", i+1, after[i], before[i])
		}
	}
}

// TestPairsAfterPurge: each row of a pair keeps its request.
func TestPairsAfterPurge(t *testing.T) {
	s := newPairStack(t)
	all := couples(t, "P-1", "P-2")
	b := submitPairs(t, s, batch.Submission{}, pairFile(all))
	purge(t, s)
	got := restored(t, s.Batch, s.Store, b)
	for i, c := range all {
		if !bytes.Equal(got[2*i], c.first) || !bytes.Equal(got[2*i+1], c.second) {
			t.Errorf("pair %d: %x, %x", i, got[2*i], got[2*i+1])
		}
	}
}

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
	for _, purged := range []bool{false, true} {
		for row, kept := range map[int64]bool{1: true, 3: !purged, 6: true} {
			got, request, err := s.Batch.Submitted(t.Context(), g, b.ID, row)
			if err != nil || got.ID != b.ID || (len(request) > 0) != kept {
				t.Errorf("purged %t: row %d: %+v, %x, %v", purged, row, got, request, err)
			}
		}
		for _, n := range []int64{0, 8} {
			if _, _, err := s.Batch.Submitted(t.Context(), g, b.ID, n); pki.KindOf(err) != pki.NotFound {
				t.Errorf("purged %t: row %d: %v", purged, n, err)
			}
		}
		purge(t, s)
	}
}

// purge drops what was uploaded in all batches that are at their end.
func purge(t *testing.T, s *stack.Stack) {
	t.Helper()
	if _, err := s.Batch.PurgeRows(t.Context(), time.Now().Add(time.Hour), 1000); err != nil {
		t.Fatal(err)
	}
}

// unreadable is a store in which the results of some rows cannot be read.
type unreadable struct {
	batch.Store
	bad map[int64]bool // by their first rows
}

func (u unreadable) Results(ctx context.Context, tenant pki.TenantID, id pki.BatchID, after int64, limit int) ([]batch.Result, error) {
	if u.bad[after+1] {
		return nil, errors.New("it is damaged")
	}
	return u.Store.Results(ctx, tenant, id, after, limit)
}

// TestUnreadableRowsStay: rows whose certificates cannot be read stay, with an error, and
// keep no others from going, however many they are.
func TestUnreadableRowsStay(t *testing.T) {
	s := newStack(t, stack.Config{})
	b, err := submit(t, s, batch.Submission{}, pandotest.PEMRequests(t, "SM-", 3*batch.ChunkRows+1))
	if err != nil {
		t.Fatal(err)
	}
	b = rest(t, s, b.ID)
	const first, second, third = 1, batch.ChunkRows + 1, 2*batch.ChunkRows + 1
	bad := map[int64]bool{first: true, third: true}
	purger := batch.New(batch.Config{Store: unreadable{s.Store, bad}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	purge := func(want int, stay ...int64) {
		t.Helper()
		n, err := purger.PurgeRows(t.Context(), time.Now().Add(time.Hour), 1)
		if n != want || (err == nil) != (len(stay) == 0) {
			t.Errorf("%d dropped, %v; want %d", n, err, want)
		}
		for _, row := range stay {
			if !strings.Contains(fmt.Sprint(err), fmt.Sprintf("rows %d to %d of batch %s stay: it is damaged", row, row+batch.ChunkRows-1, b.ID)) {
				t.Errorf("rows from %d on: %v", row, err)
			}
		}
	}
	for range 2 {
		purge(1)
	}
	for range 2 {
		purge(0, first, third)
	}
	for _, row := range []int64{first, third} {
		if c, err := s.Store.ChunkOf(t.Context(), "acme", b.ID, row); err != nil || c.Count != batch.ChunkRows {
			t.Errorf("%+v, %v", c, err)
		}
	}
	if _, err := s.Store.ChunkOf(t.Context(), "acme", b.ID, second); pki.KindOf(err) != pki.NotFound {
		t.Errorf("rows from %d on: %v", second, err)
	}
	delete(bad, first)
	purge(1)
	purge(0, third)
	for row, request := range restored(t, s.Batch, s.Store, b) {
		if len(request) == 0 {
			t.Errorf("the request of row %d is lost", row+1)
		}
	}
}

// The environment of a process that is to die.
const (
	killDir = "PANDO_TEST_KILL_DIR"
	killAt  = "PANDO_TEST_KILL_AT"
)

// A dying store ends the process with SIGKILL when the rows of the second chunk are to be
// dropped, before that or after it.
type dying struct {
	batch.Store
	at    string
	calls int
}

func (d *dying) PurgeRows(ctx context.Context, before time.Time, chunks ...*batch.Purge) (int, error) {
	d.calls++
	if d.calls == 2 && d.at == "before" {
		die()
	}
	n, err := d.Store.PurgeRows(ctx, before, chunks...)
	if d.calls == 2 {
		die()
	}
	return n, err
}

func die() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// TestPurgeKilled kills a process with SIGKILL half way through a batch whose rows it
// drops. What it left and what the next one drops have every request.
func TestPurgeKilled(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		s := newStack(t, stack.Config{Dir: dir})
		file := pandotest.PEMRequests(t, "SM-", 3*batch.ChunkRows)
		if err := os.WriteFile(filepath.Join(dir, "requests.pem"), file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := submit(t, s, batch.Submission{}, file)
		if err != nil {
			t.Fatal(err)
		}
		rest(t, s, b.ID)
		dies := batch.New(batch.Config{Store: &dying{Store: s.Store, at: os.Getenv(killAt)}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		for range 3 {
			dies.PurgeRows(t.Context(), time.Now().Add(time.Hour), 1)
		}
		t.Fatal("it lives")
	}
	for at, left := range map[string]int{"before": 2, "after": 1} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPurgeKilled$")
			cmd.Env = append(os.Environ(), killDir+"="+dir, killAt+"="+at, "TMPDIR="+dir) // which it cannot tidy up
			out, err := cmd.CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%v: %s", err, out)
			}
			purgeOn(t, dir, left)
		})
	}
}

// purgeOn opens what a killed process left, and drops the rows that are left.
func purgeOn(t *testing.T, dir string, left int) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), filepath.Join(dir, "pando.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all, err := store.Batches(t.Context(), "acme", "", 10)
	if err != nil || len(all) != 1 || all[0].Issued != 3*batch.ChunkRows {
		t.Fatalf("%+v, %v", all, err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "requests.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s := batch.New(batch.Config{Store: store, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	for _, want := range []int{left, 0} {
		rest := file
		for row, got := range restored(t, s, store, all[0]) {
			var block *pem.Block
			if block, rest = pem.Decode(rest); !bytes.Equal(got, block.Bytes) {
				t.Errorf("row %d: %x", row+1, got)
			}
		}
		n, err := s.PurgeRows(t.Context(), time.Now().Add(time.Hour), 10)
		if n != want || err != nil {
			t.Errorf("%d chunks dropped, %v; want %d", n, err, want)
		}
	}
}
