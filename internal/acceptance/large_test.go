//go:build system

package acceptance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// mostMemory is what a server may have in memory at most, however large a batch.
// It had 133 and 134 MiB with one of 100,000 rows.
const mostMemory = 160 << 20

// TestLargeBatch kills the server in the middle of a large batch. Each row has one
// certificate then, and the server needed no more memory than for a small batch.
func TestLargeBatch(t *testing.T) {
	rows := 100_000
	if testing.Short() {
		rows = 10_000
	}
	random := seeded(t)
	h := newHouse(t, 2)
	before := h.check(t, "")

	file := filepath.Join(t.TempDir(), "large.pem")
	began := time.Now()
	if out := pando(t, "simulate", "csrs", "--devices", strconv.Itoa(rows), "--prefix", "LARGE-", "--out", file); out.status != 0 {
		t.Fatalf("simulate csrs: %s", out.stderr)
	}
	rate(t, "requests made", rows, time.Since(began))

	h.serve(t)
	began = time.Now()
	out := pando(t, "--quickstart", h.dir, "--json", "batch", "submit", file, "--endpoint", "meter")
	if out.status != 0 {
		t.Fatalf("batch submit: %s", out.stderr)
	}
	rate(t, "rows uploaded", rows, time.Since(began))
	b := new(client.Batch)
	if err := json.Unmarshal([]byte(out.stdout), b); err != nil {
		t.Fatal(err)
	}

	// From a third to two thirds of the rows.
	middle := int64(rows)/3 + random.Int64N(int64(rows)/3)
	began = time.Now()
	first := h.until(t, b.ID, middle)
	rate(t, "rows issued until the kill", int(first), time.Since(began))
	t.Logf("the server had %s in memory at most", mib(h.mostMemory(t)))
	h.server.kill(t)

	h.serve(t)
	resumed := time.Now()
	h.until(t, b.ID, int64(rows))
	rate(t, "rows issued after the kill", rows-int(first), time.Since(resumed))

	requests, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{client: h.as(t, ""), batch: b.ID, requests: requests, acks: newAcknowledgements(t)}
	began = time.Now()
	if err := c.follow(t.Context(), int64(rows)); err != nil {
		t.Fatal(err)
	}
	rate(t, "results fetched and compared", rows, time.Since(began))
	t.Logf("the server had %s in memory at most", mib(h.mostMemory(t)))
	h.stop(t)

	began = time.Now()
	after := h.check(t, c.acks.path)
	rate(t, "certificates checked", int(after.Certificates), time.Since(began))
	if got := after.Certificates - before.Certificates; got != int64(rows) {
		t.Errorf("the store has %d new certificates, want %d", got, rows)
	}
	if after.Acknowledged != int64(rows) {
		t.Errorf("%d certificates were acknowledged, want %d", after.Acknowledged, rows)
	}
}

// until waits until so many rows of a batch are issued, and returns how many are.
func (h *house) until(t *testing.T, batch string, rows int64) int64 {
	t.Helper()
	c := h.as(t, "")
	last, moved := int64(-1), time.Now()
	for {
		b, err := c.Batch(t.Context(), batch)
		if err != nil && !passing(t.Context(), err) {
			t.Fatal(err)
		}
		if err == nil {
			if b.Issued >= rows {
				return b.Issued
			}
			if b.Issued != last {
				last, moved = b.Issued, time.Now()
			}
		}
		if time.Since(moved) > hung {
			t.Fatalf("batch %s stands still at row %d", batch, last)
		}
		time.Sleep(pause)
	}
}

// mostMemory returns the most that the server ever had in memory, which is bounded.
func (h *house) mostMemory(t *testing.T) int64 {
	t.Helper()
	most := h.server.memory(t, "VmHWM")
	if most > mostMemory {
		t.Errorf("the server had %s in memory, want %s at most", mib(most), mib(mostMemory))
	}
	return most
}

// rate prints a rate.
func rate(t *testing.T, what string, n int, in time.Duration) {
	t.Helper()
	t.Logf("%d %s in %.1f s, %.0f a second", n, what, in.Seconds(), float64(n)/in.Seconds())
}
