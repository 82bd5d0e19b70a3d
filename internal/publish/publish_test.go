package publish_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/publish"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// memory is a target in memory, which can be down.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	down    error
	long    string           // the name of an object that is longer than anything that is read
	odd     map[string]error // by name: objects that cannot be read, until they are removed
	fixed   string           // the name of an object that cannot be removed
	writes  []string
	before  func(name string) // called without mu before a Replace
}

func newMemory() *memory {
	return &memory{objects: make(map[string][]byte), odd: make(map[string]error)}
}

// mend has an object be one that can be read again.
func (m *memory) mend(name string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.odd, name)
	m.objects[name] = content
}

// spoil has an object be one that cannot be read.
func (m *memory) spoil(name string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[name], m.odd[name] = []byte("odd"), err
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

func (m *memory) get(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[name]
}

func (m *memory) set(name string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[name] = content
}

func (m *memory) written() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	written := m.writes
	m.writes = nil
	return written
}

func (m *memory) Create(_ context.Context, name string, content []byte, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if have, ok := m.objects[name]; ok && !bytes.Equal(have, content) {
		return pki.Errorf(pki.Conflict, "%s is there", name)
	}
	return m.write(name, content)
}

func (m *memory) Replace(_ context.Context, name, version string, content []byte, _ string) (string, error) {
	if m.before != nil {
		m.before(name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if version != string(m.objects[name]) {
		return "", pki.Errorf(pki.Conflict, "%s is elsewhere", name)
	}
	return string(content), m.write(name, content)
}

// write needs mu.
func (m *memory) write(name string, content []byte) error {
	if m.down != nil {
		return m.down
	}
	m.objects[name] = content
	m.writes = append(m.writes, name)
	return nil
}

func (m *memory) Read(_ context.Context, name string, _ int64) ([]byte, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.objects[name]
	switch {
	case m.down != nil:
		return nil, "", m.down
	case name == m.long:
		return nil, "", pki.Errorf(pki.Malformed, "%s is too long", name)
	case m.odd[name] != nil:
		return nil, "", m.odd[name]
	case !ok:
		return nil, "", pki.Errorf(pki.NotFound, "no %s", name)
	}
	return content, string(content), nil
}

func (m *memory) Remove(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name == m.fixed {
		return pki.Errorf(pki.Forbidden, "%s cannot be removed", name)
	}
	delete(m.odd, name)
	if delete(m.objects, name); name == m.long {
		m.long = ""
	}
	return m.down
}

// A house is a VA whose CRLs are published.
type house struct {
	*testing.T
	va      *revocationtest.VA
	alarms  *alarm.Board
	run     func() (stop func()) // starts a process
	process *publish.Publisher   // that run started, nil before
}

type chains struct{ va *revocationtest.VA }

func (c chains) Chain(_ context.Context, issuer pki.IssuerID) ([][]byte, error) {
	if issuer == c.va.Root.Issuer.ID {
		return [][]byte{c.va.Root.Certificate.Raw}, nil
	}
	return [][]byte{c.va.CA.Certificate.Raw, c.va.Root.Certificate.Raw}, nil
}

func newHouse(t *testing.T, targets map[string]publish.Target) *house {
	h := &house{T: t, va: revocationtest.New(t, 1), alarms: alarm.NewBoard(time.Now)}
	h.run = func() (stop func()) {
		p := publish.New(publish.Config{Targets: targets, Source: h.va, Chains: chains{h.va}, Alarms: h.alarms, Log: slog.New(slog.DiscardHandler)})
		h.process = p
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		return func() {
			cancel()
			running.Wait()
		}
	}
	return h
}

// make revokes a certificate and makes the CRL that has it.
func (h *house) make() {
	h.Helper()
	g := revocationtest.Permit(h.T, revocationtest.Tenant, access.Revoke)
	if _, err := h.va.Revoke(h.Context(), g, "issuer", h.va.Issue(), pki.Superseded); err != nil {
		h.Fatal(err)
	}
	if _, err := h.va.PublishDue(h.Context()); err != nil {
		h.Fatal(err)
	}
	if h.process != nil {
		h.process.Published(revocation.List{Issuer: "issuer"})
	}
}

// number returns the number of the CRL that a target's pointer has, 0 for none.
func (h *house) number(m *memory) int64 {
	h.Helper()
	content := m.get("crl/issuer/0.crl")
	if content == nil {
		return 0
	}
	crl, err := h.va.Verify(h.Context(), revocation.List{Issuer: "issuer"}, content)
	if err != nil {
		h.Error(err)
		return -1
	}
	return crl.Number
}

func (h *house) names() (names []string) {
	for _, a := range h.alarms.All() {
		names = append(names, strings.TrimSpace(a.Name+" "+a.Target))
	}
	return names
}

func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		stop := h.run()
		synctest.Wait()
		want := []string{"crl/issuer/0/1.crl", "crl/issuer/0.crl", "ca/issuer.cer", "ca/issuer.p7c", "ca/issuer.pem"}
		if diff := cmp.Diff(want, m.written()); diff != "" {
			t.Errorf("written, the pointer after the object (-want +got):\n%s", diff)
		}
		for number := int64(2); number < 6; number++ {
			h.make()
			synctest.Wait()
			if got := h.number(m); got != number {
				t.Errorf("number %d is published, not %d", got, number)
			}
		}
		// The object that the pointer left last is still there, those before are not.
		for number, there := range map[int]bool{1: false, 2: false, 3: false, 4: true, 5: true} {
			if got := m.get(fmt.Sprintf("crl/issuer/0/%d.crl", number)) != nil; got != there {
				t.Errorf("object %d is there: %t", number, got)
			}
		}
		stop()

		// What was made while no process ran is published by the next.
		h.process = nil
		h.make()
		m.written()
		defer h.run()()
		synctest.Wait()
		if diff := cmp.Diff([]string{"crl/issuer/0/6.crl", "crl/issuer/0.crl"}, m.written()); diff != "" {
			t.Errorf("after the restart (-want +got):\n%s", diff)
		}
	})
}

// TestTargetIsDown: the others get their CRLs, an alarm is raised, and all is well
// again by itself.
func TestTargetIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up, down := newMemory(), newMemory()
		down.fail(errors.New("connection refused"))
		h := newHouse(t, map[string]publish.Target{"up": up, "down": down})
		h.make()
		defer h.run()()
		time.Sleep(lateAfter / 2)
		if got := h.number(up); got != 1 {
			t.Errorf("the target that is up has number %d", got)
		}
		if got := h.names(); len(got) > 0 {
			t.Errorf("alarms after half a minute: %v", got)
		}
		time.Sleep(2 * lateAfter)
		if diff := cmp.Diff([]string{"publish.late down"}, h.names()); diff != "" {
			t.Errorf("alarms (-want +got):\n%s", diff)
		}
		if !h.process.Reached("down").IsZero() || h.process.Reached("up").IsZero() {
			t.Errorf("the target that is up was reached at %s, the other at %s", h.process.Reached("up"), h.process.Reached("down"))
		}
		h.make()
		down.fail(nil)
		upAgain := time.Now()
		time.Sleep(time.Minute + time.Second)
		if got := h.process.Reached("down"); !got.After(upAgain) {
			t.Errorf("up since %s, it was reached at %s", upAgain, got)
		}
		if got := h.number(down); got != 2 || len(h.names()) > 0 {
			t.Errorf("a minute after it is up again it has number %d, and alarms %v", got, h.names())
		}
	})
}

const lateAfter = time.Minute

// TestRaced: another process moves the pointer on in between.
func TestRaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		first, err := h.va.CRL(t.Context(), revocation.List{Issuer: "issuer"})
		if err != nil {
			t.Fatal(err)
		}
		h.make()
		raced := false
		m.before = func(name string) {
			if name == "crl/issuer/0.crl" && !raced {
				raced = true
				m.set(name, first.DER)
			}
		}
		defer h.run()()
		synctest.Wait()
		if got := h.number(m); !raced || got != 2 {
			t.Errorf("raced %t: number %d", raced, got)
		}
	})
}

// TestForeignContent: what is no CRL of the list is written over, a CRL of a higher
// number is not, and that is an alarm.
func TestForeignContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		m.set("crl/issuer/0.crl", []byte("<html>404</html>"))
		h.make()
		stop := h.run()
		synctest.Wait()
		if got := h.number(m); got != 1 {
			t.Errorf("number %d after something else", got)
		}
		first := m.get("crl/issuer/0.crl")
		h.make()
		synctest.Wait()
		second := m.get("crl/issuer/0.crl")
		stop()

		// The store goes back to number 1, as from a backup.
		back := &sourceOf{h.va, first}
		p := publish.New(publish.Config{Targets: map[string]publish.Target{"web": m}, Source: back, Chains: chains{h.va}, Alarms: h.alarms, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		if !bytes.Equal(m.get("crl/issuer/0.crl"), second) {
			t.Error("the pointer went back")
		}
		if diff := cmp.Diff([]string{"publish.refused web crl/issuer/0.crl"}, h.names()); diff != "" {
			t.Errorf("alarms (-want +got):\n%s", diff)
		}
		m.set("crl/issuer/0.crl", first) // somebody puts the target back, too
		time.Sleep(11 * time.Minute)
		if got := h.names(); len(got) > 0 {
			t.Errorf("alarms once they agree: %v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// sourceOf has one CRL as the issuer's latest.
type sourceOf struct {
	*revocationtest.VA
	der []byte
}

func (s *sourceOf) CRL(ctx context.Context, list revocation.List) (*revocation.CRL, error) {
	parsed, err := s.Verify(ctx, list, s.der)
	if err != nil {
		return nil, err
	}
	return &revocation.CRL{List: list, Number: parsed.Number, DER: s.der}, nil
}

// TestTooLong: what is longer than any CRL makes room.
func TestTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		m.long = "crl/issuer/0.crl"
		h.make()
		stop := h.run()
		defer stop()
		synctest.Wait()
		if got := h.number(m); got != 1 {
			t.Errorf("number %d after something long", got)
		}
	})
}

// TestAgain: what a target lost, it gets again.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		p, stop := h.publisher(m)
		defer stop()
		synctest.Wait()
		m.set("crl/issuer/0.crl", nil)
		p.Published(revocation.List{Issuer: "issuer"})
		p.Again("other", revocation.List{Issuer: "issuer"})
		synctest.Wait()
		if m.get("crl/issuer/0.crl") != nil {
			t.Error("it was read though nobody asked")
		}
		m.Remove(t.Context(), "crl/issuer/0.crl")
		p.Again("web", revocation.List{Issuer: "issuer"})
		synctest.Wait()
		if got := h.number(m); got != 1 {
			t.Errorf("number %d", got)
		}
	})
}

// TestDelta: a target gets delta CRLs when they are made, and those that it lacks when
// a process starts: one that is new, or was emptied.
func TestDelta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.va.CA.Issuer.Deltas = true
		delta := revocation.List{Issuer: "issuer", Delta: true}
		number := func() int64 {
			content := m.get(delta.Path())
			if content == nil {
				return 0
			}
			crl, err := h.va.Verify(t.Context(), delta, content)
			if err != nil {
				t.Error(err)
				return -1
			}
			return crl.Number
		}
		h.make()
		stop := h.run()
		synctest.Wait()
		if full, got := h.number(m), number(); full != 1 || got != 2 {
			t.Errorf("a new target has full CRL number %d and delta number %d, not 1 and 2", full, got)
		}
		h.make()
		h.process.Published(delta)
		synctest.Wait()
		if got := number(); got != 3 {
			t.Errorf("after a revocation it has delta number %d, not 3", got)
		}
		stop()

		m.mu.Lock()
		clear(m.objects)
		m.mu.Unlock()
		defer h.run()()
		synctest.Wait()
		if full, got := h.number(m), number(); full != 1 || got != 3 {
			t.Errorf("emptied, it gets full CRL number %d and delta number %d, not 1 and 3", full, got)
		}
	})
}

// TestDirectory publishes to a real directory, in which a web server would find all
// that certificates name.
func TestDirectory(t *testing.T) {
	path := t.TempDir()
	h := newHouse(t, map[string]publish.Target{"web": blob.OpenDirectory(path)})
	h.make()
	stop := h.run()
	want := []string{"ca/issuer.cer", "ca/issuer.p7c", "ca/issuer.pem", "crl/issuer/0.crl", "crl/issuer/0/1.crl"}
	var got []string
	for len(got) < len(want) && t.Context().Err() == nil {
		got = nil
		for _, name := range want {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				got = append(got, name)
			}
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	crl, err := os.ReadFile(filepath.Join(path, "crl/issuer/0.crl"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.va.Verify(t.Context(), revocation.List{Issuer: "issuer"}, crl); err != nil {
		t.Error(err)
	}
}

// TestOlderStore puts the store back from a backup: what relying parties have is taken
// over, and the pointer goes on above its number by itself.
func TestOlderStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHouse(t, map[string]publish.Target{"web": m})
		h.make()
		stop := h.run()
		synctest.Wait()
		backup := h.va.Store.Backup()
		for range 3 {
			h.make()
			synctest.Wait()
		}
		stop()
		before := h.number(m)

		old := h.va.Over(backup)
		p := publish.New(publish.Config{Targets: map[string]publish.Target{"web": m}, Source: old, Chains: chains{h.va}, Alarms: h.alarms, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		if _, err := old.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Published(revocation.List{Issuer: "issuer"})
		synctest.Wait()
		if got := h.number(m); got <= before {
			t.Errorf("the pointer is at number %d, and was at %d", got, before)
		}
		crl, err := h.va.Verify(t.Context(), revocation.List{Issuer: "issuer"}, m.get("crl/issuer/0.crl"))
		if err != nil {
			t.Fatal(err)
		}
		entries := 0
		for range crl.Entries() {
			entries++
		}
		if entries != 4 {
			t.Errorf("%d of 4 revocations are published", entries)
		}
		if got := h.names(); len(got) > 0 {
			t.Errorf("alarms %v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestOlderStoreWithHigherNumbers: the store from a backup made CRLs while its targets
// were down. Their numbers are above the published one, and none that lacks what was
// published takes its place, at either target.
func TestOlderStoreWithHigherNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		targets := map[string]*memory{"web": newMemory(), "bucket": newMemory()}
		to := make(map[string]publish.Target)
		for name, m := range targets {
			to[name] = m
		}
		h := newHouse(t, to)
		h.make()
		stop := h.run()
		synctest.Wait()
		backup := h.va.Store.Backup()
		for range 2 {
			h.make()
			synctest.Wait()
		}
		stop()
		list := revocation.List{Issuer: "issuer"}
		published := make(map[string]string)
		entries := func(name string) (n int) {
			crl, err := h.va.Verify(t.Context(), list, targets[name].get("crl/issuer/0.crl"))
			if err != nil {
				t.Fatal(err)
			}
			for range crl.Entries() {
				n++
			}
			return n
		}
		for name, m := range targets {
			published[name] = string(m.get("crl/issuer/0.crl"))
		}

		old := h.va.Over(backup)
		for range 4 {
			if err := backup.Renew(t.Context(), "issuer", 0, pki.Event{}); err != nil {
				t.Fatal(err)
			}
			if _, err := old.PublishDue(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		p := publish.New(publish.Config{Targets: to, Source: old, Chains: chains{h.va}, Alarms: h.alarms, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		p.Published(list) // of one that was made before
		synctest.Wait()
		for name, m := range targets {
			if string(m.get("crl/issuer/0.crl")) != published[name] {
				t.Errorf("%s: number %d with %d of 3 revocations took the place of the published CRL", name, h.number(m), entries(name))
			}
		}
		if _, err := old.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Published(list)
		synctest.Wait()
		for name, m := range targets {
			if got := h.number(m); got != 6 || entries(name) != 3 {
				t.Errorf("%s: number %d with %d of 3 revocations", name, got, entries(name))
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
