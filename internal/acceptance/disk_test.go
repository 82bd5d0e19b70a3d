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

	"github.com/pando-pki/pando/client"
)

// TestFailingDisk lets the disk under the store fail while the server works under
// load. While it does nothing is acknowledged, and when it is well again the
// server goes on by itself; nothing that was acknowledged is lost, and what a batch has
// signed is recorded: serial numbers of single requests alone are given up.
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
				heal := h.inject(t, fault.calls, fault.failure, h.database()...)
				l.stops(t, fault.name) // once what was stored before it is answered
				answered := l.acks.number()
				time.Sleep(2 * time.Second)
				if n := l.acks.number() - answered; n > 0 {
					t.Errorf("%d certificates were acknowledged while nothing could be stored", n)
				}
				heal()
				l.progress(t, "after the fault")
			}
			after := l.end(t, h, before)
			if log, err := os.ReadFile(h.log); err != nil || !strings.Contains(string(log), fault.seen) {
				t.Errorf("the server's log does not say %q (%v): did the disk fail at all?", fault.seen, err)
			}
			voids := after.Voids - before.Voids
			if most := int64(rounds * 2 * enrollers); voids > most { // those in flight, and those that showed whether the disk was well
				t.Errorf("%d serial numbers are void, want %d at most", voids, most)
			}
			t.Logf("%d batches of %d rows and %d single certificates; %d serial numbers void",
				l.batches, l.rows, len(l.singles), voids)
		})
	}
}

// TestStopOnAFullDisk: a server that can store nothing ends when it is told to, well before
// a service manager kills it, and the next start completes what a batch had signed.
func TestStopOnAFullDisk(t *testing.T) {
	seeded(t)
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.serve(t)
	l := startLoad(t, h, 20_000)
	for l.acks.number() < 1000 { // amid a batch
		l.progress(t, "before the fault")
	}
	heal := h.inject(t, "pwrite64,write", "ENOSPC", h.database()...)
	l.stops(t, "on a full disk")
	begun := time.Now()
	h.server.stop(t)
	if took := time.Since(begun); took > 50*time.Second {
		t.Errorf("the server took %s to stop", took)
	}
	heal()
	h.serve(t)
	l.progress(t, "after the next start")
	l.end(t, h, before)
}

// TestStartWithoutWrites: where the disk is full or read-only, whoever opens the database
// says so, and what to do.
func TestStartWithoutWrites(t *testing.T) {
	h := newHouse(t, 2)
	for _, c := range []struct{ file, call, failure, command, want string }{
		{"pando.db-shm", "pwrite64", "ENOSPC", "serve", "its disk is full"},
		{"pando.db", "openat", "EROFS", "check", "its files are read-only here"},
	} {
		file := filepath.Join(h.data(), c.file)
		out := run(t, "", "strace", "-f", "-qq", "-o", filepath.Join(t.TempDir(), "strace"), "-P", file,
			"-e", "trace="+c.call, "-e", fmt.Sprintf("inject=%s:error=%s", c.call, c.failure),
			os.Getenv(binaryVariable), c.command, "--data", h.data())
		if out.status == 0 || !strings.Contains(out.stderr, c.want) {
			t.Errorf("%s of %s fails with %s: exit status %d, and it does not say %q:\n%s", c.call, c.file, c.failure, out.status, c.want, out.stderr)
		}
	}
	h.check(t, "")
}

// TestFailingAnchor lets the disk of the only anchor fail: issuance stops when no
// checkpoint could leave for as long as is set, says so, and goes on by itself.
func TestFailingAnchor(t *testing.T) {
	random := seeded(t)
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.configure(t, "audit:\n  anchor_every: 10s\n  anchor_bound: 20s\n")
	h.serve(t)
	l := startLoad(t, h, 100)
	for _, fault := range []struct{ name, calls, failure string }{
		{"a sync that fails", "fsync,fdatasync", "EIO"},
		{"a full disk", "write,pwrite64", "ENOSPC"},
	} {
		l.progress(t, "before "+fault.name)
		time.Sleep(time.Duration(random.Int64N(int64(10 * time.Second)))) // anywhere between two checkpoints
		files, err := filepath.Glob(filepath.Join(h.data(), "anchor", "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%v: the anchor has %d files", err, len(files))
		}
		heal := h.inject(t, fault.calls, fault.failure, files...)
		for begun := time.Now(); ; time.Sleep(pause) {
			if _, late := h.alarms(t)["anchor.late"]; late {
				break
			}
			if time.Since(begun) > hung {
				t.Fatalf("%s: there is no alarm anchor.late", fault.name)
			}
		}
		l.stops(t, fault.name)
		heal()
		l.progress(t, "after "+fault.name)
	}
	l.end(t, h, before)
}

// stops waits until nothing is acknowledged for two seconds.
func (l *load) stops(t *testing.T, why string) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < hung; {
		n := l.acks.number()
		time.Sleep(2 * time.Second)
		if l.failed.Err() != nil {
			t.Fatalf("%s: %v", why, l.wait())
		}
		if l.acks.number() == n {
			return
		}
	}
	t.Fatalf("%s: certificates are still acknowledged after %s", why, hung)
}

// alarms returns what stands on the board, by name, as the platform's operator
// sees it.
func (h *house) alarms(t *testing.T) map[string]client.Alarm {
	t.Helper()
	all, err := h.as(t, h.operator(t)).Alarms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]client.Alarm{}
	for _, a := range all {
		found[a.Name] = a
	}
	return found
}

// configure appends to the server's configuration.
func (h *house) configure(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(h.data(), "pando.yaml")
	had, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(had, text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// database returns the files of the store.
func (h *house) database() []string {
	path := filepath.Join(h.data(), "pando.db")
	return []string{path, path + "-wal"}
}

// inject has system calls of the running server on files fail, the first of which it
// waits for, until heal is called.
func (h *house) inject(t *testing.T, calls, failure string, files ...string) (heal func()) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	args := []string{"-f", "-qq", "-p", strconv.Itoa(h.server.cmd.Process.Pid), "-o", log,
		"-e", "trace=" + calls, "-e", fmt.Sprintf("inject=%s:error=%s", calls, failure)}
	for _, file := range files {
		args = append(args, "-P", file)
	}
	tracer := start(t, log, "strace", args...)
	for {
		if text, err := os.ReadFile(log); err == nil && strings.Contains(string(text), "(INJECTED)") {
			break
		}
		if time.Since(tracer.started) > hung {
			t.Fatalf("after %s none of %s has failed", hung, calls)
		}
		time.Sleep(pause)
	}
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
