//go:build system

package acceptance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// A following is the ceremony that has the root of a quickstart followed by another, in a
// directory of its own with copies of the root's files.
type following struct {
	dir, sealed, next string
	passphrase        string // file of the root's
}

func newFollowing(t *testing.T, h *house, request []byte) *following {
	t.Helper()
	dir := t.TempDir()
	f := &following{dir: dir, sealed: filepath.Join(dir, "root.sealed"), next: filepath.Join(dir, "root-2.sealed"), passphrase: h.passphrase()}
	writeFile(t, dir, "request.json", request)
	files := map[string][]byte{"passphrase": []byte("only for this test\n")}
	for _, name := range []string{"root.sealed", "root.sealed.journal"} {
		var err error
		if files[name], err = os.ReadFile(filepath.Join(h.dir, "ceremony", name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// begin starts the ceremony for the nth time, with words before it, as those of strace, and
// returns the file that its answer is to be in.
func (f *following) begin(t *testing.T, n int, before ...string) (p *process, answer string) {
	t.Helper()
	answer = filepath.Join(f.dir, fmt.Sprintf("answer-%d.json", n))
	args := append(before, os.Getenv(binaryVariable), "ceremony", "rollover", "--root", f.sealed, "--new", f.next, "--request", filepath.Join(f.dir, "request.json"), "--out", answer,
		"--passphrase-file", f.passphrase, "--new-passphrase-file", filepath.Join(f.dir, "passphrase"), "--yes")
	return start(t, filepath.Join(f.dir, "said"), args[0], args[1:]...), answer
}

// end has the ceremony come to its end, and returns its answer.
func (f *following) end(t *testing.T, n int) []byte {
	t.Helper()
	p, file := f.begin(t, n)
	if status := p.within(t, patience); status != 0 {
		t.Fatalf("ceremony %d: exit status %d\n%s", n, status, f.said(t))
	}
	answer, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// said returns what the ceremonies have said.
func (f *following) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lost has what there is of a key that was not sealed moved away, as the ceremony asks, and
// reports whether there was anything.
func (f *following) lost(t *testing.T) bool {
	t.Helper()
	key, err := os.Stat(f.next)
	if err == nil && key.Size() > 0 {
		return false
	}
	begun := false
	for _, file := range []string{f.next, f.next + ".journal"} {
		switch err := os.Remove(file); {
		case err == nil:
			begun = true
		case !errors.Is(err, os.ErrNotExist):
			t.Fatal(err)
		}
	}
	return begun
}

// follow makes a place for the root that follows a house's, and returns what it asks a
// ceremony for.
func (h *house) follow(t *testing.T) []byte {
	t.Helper()
	c := h.as(t, "")
	if _, err := c.Rollover(t.Context(), "root", client.Rollover{}); err != nil {
		t.Fatal(err)
	}
	request, err := c.AuthorityRequest(t.Context(), "root")
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// TestFailingDiskCeremony lets each write and each sync fail in turn of the ceremony that
// has a root followed by another. It says so, and goes on when the disk is well again.
func TestFailingDiskCeremony(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	request := h.follow(t)
	h.stop(t)
	faults := []struct{ name, calls, failure string }{{"a full disk", "write", "ENOSPC"}, {"a sync that fails", "fsync", "EIO"}}
	if testing.Short() {
		faults = faults[:1]
	}
	for _, fault := range faults {
		failed, keysLost := 0, 0
		for n := 1; ; n++ {
			f := newFollowing(t, h, request)
			before := []string{"strace", "-f", "-qq", "-o", filepath.Join(f.dir, "strace"), "-e", "trace=" + fault.calls, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", fault.calls, fault.failure, n)}
			for _, file := range []string{f.dir, f.sealed + ".journal", f.next, f.next + ".journal", filepath.Join(f.dir, "answer-0.json")} {
				before = append(before, "-P", file)
			}
			p, answer := f.begin(t, 0, before...)
			if p.within(t, patience) == 0 { // there are fewer
				break
			}
			failed++
			if info, err := os.Stat(answer); err == nil && info.Size() > 0 {
				t.Errorf("%s: ceremony %d failed, and has an answer", fault.name, n)
			}
			if f.lost(t) {
				keysLost++
			}
			if answer := f.end(t, 1); !bytes.Equal(answer, f.end(t, 2)) {
				t.Errorf("%s: the ceremony after %d once more has another answer", fault.name, n)
			}
		}
		t.Logf("%s: %d ceremonies failed, of which %d lost a key", fault.name, failed, keysLost)
		if failed < 4 {
			t.Errorf("%s: %d ceremonies failed: there is more that they write", fault.name, failed)
		}
	}
}

// TestKillCeremony kills the ceremony that has a root followed by another, at random
// moments, and the server while its answer is installed. The ceremony goes on where it was
// cut off, and the store never has a part of its answer.
func TestKillCeremony(t *testing.T) {
	kills := 12
	if testing.Short() {
		kills = 4
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	f := newFollowing(t, h, h.follow(t))
	keysLost, length := 0, 3*time.Second // of a ceremony, until one came to its end
	for n := range kills {
		p, _ := f.begin(t, n)
		within := length
		if n%2 == 1 { // what comes after the sealing of the key is short
			for _, err := os.Stat(f.next); err != nil && time.Since(p.started) < patience; _, err = os.Stat(f.next) {
				time.Sleep(time.Millisecond)
			}
			within = 20 * time.Millisecond
		}
		select {
		case <-p.ended:
			length = time.Since(p.started)
			if status := p.cmd.ProcessState.ExitCode(); status != 0 {
				t.Fatalf("ceremony %d: exit status %d\n%s", n, status, f.said(t))
			}
		case <-time.After(time.Duration(random.Int64N(int64(within)))):
			p.kill(t)
		}
		if f.lost(t) {
			keysLost++
		}
	}
	answer := f.end(t, kills)
	if again := f.end(t, kills+1); !bytes.Equal(again, answer) {
		t.Error("the ceremony once more has another answer")
	}

	r := &roller{house: h, random: random, authority: "root"}
	install := step{name: "install", prepare: installs(answer).asIs, becomes: first("next")}
	cut := func(ended <-chan error) error {
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		h.server.kill(t)
		err := <-ended
		h.relint(t) // as it was left
		h.serve(t)
		return err
	}
	r.try(t, install, cut)
	r.try(t, r.change(), cut)
	if n := len(r.published(t)); n != 5 { // the authority, both roots and the links
		t.Errorf("EST publishes %d certificates of a root that followed another", n)
	}
	h.stop(t)
	h.check(t, "")
	h.relint(t)
	t.Logf("%d kills within the ceremony, of which %d lost a key", kills, keysLost)
}
