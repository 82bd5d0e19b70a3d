//go:build system

package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFailingDisk lets the disk under the store fail while the server works under
// load. While it does nothing is acknowledged, and when it is well again the
// server goes on by itself; nothing that was acknowledged is lost.
func TestFailingDisk(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for _, fault := range []struct{ name, calls, failure, seen string }{
		{"a sync that fails", "fsync,fdatasync", "EIO", "disk I/O error"},
		{"a full disk", "pwrite64,write", "ENOSPC", "database or disk is full"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			random := seeded(t)
			h := newHouse(t, 2)
			before := h.check(t, "")
			h.serve(t)
			l := startLoad(t, h, 1000)
			for range rounds {
				l.progress(t, "before the fault")
				time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
				heal := h.inject(t, fault.calls, fault.failure)
				time.Sleep(500 * time.Millisecond) // what was stored before it is answered
				answered := l.acks.number()
				time.Sleep(2 * time.Second)
				if n := l.acks.number() - answered; n > 0 {
					t.Errorf("%d certificates were acknowledged while nothing could be stored", n)
				}
				heal()
				l.progress(t, "after the fault")
			}
			if err := l.wait(); err != nil {
				t.Fatal(err)
			}
			l.repeat(t)
			h.stop(t)
			if log, err := os.ReadFile(h.log); err != nil || !strings.Contains(string(log), fault.seen) {
				t.Errorf("the server's log does not say %q (%v): did the disk fail at all?", fault.seen, err)
			}
			after := h.check(t, l.acks.path)
			if got, want := after.Certificates-before.Certificates, l.certificates(); got != want {
				t.Errorf("the store has %d new certificates, want %d", got, want)
			}
			t.Logf("%d batches of %d rows and %d single certificates; %d serial numbers void",
				l.batches, l.rows, len(l.singles), after.Voids-before.Voids)
		})
	}
}

// inject has system calls of the running server on the store's files fail, until
// heal is called.
func (h *house) inject(t *testing.T, calls, failure string) (heal func()) {
	t.Helper()
	database := filepath.Join(h.data(), "pando.db")
	log := filepath.Join(t.TempDir(), "strace")
	tracer := start(t, log, "strace", "-f", "-qq", "-p", strconv.Itoa(h.server.cmd.Process.Pid),
		"-P", database, "-P", database+"-wal", "-e", "trace="+calls, "-e", fmt.Sprintf("inject=%s:error=%s", calls, failure), "-o", log)
	return func() {
		t.Helper()
		tracer.stop(t)
	}
}

// progress waits until more certificates are acknowledged.
func (l *load) progress(t *testing.T, when string) {
	t.Helper()
	begun, n := time.Now(), l.acks.number()
	for l.acks.number() < n+10 {
		if l.failed.Err() != nil {
			t.Fatalf("%s: %v", when, l.wait())
		}
		if time.Since(begun) > late {
			t.Fatalf("%s nothing is acknowledged for %s", when, late)
		}
		time.Sleep(pause)
	}
}

// number is how many certificates were acknowledged so far.
func (a *acknowledgements) number() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}
