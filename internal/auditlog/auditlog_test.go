package auditlog_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/anchor"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/fakeanchor"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// A bench is a stack with a log whose rounds the test makes.
type bench struct {
	*testing.T
	*stack.Stack
	log    *auditlog.Service
	cfg    auditlog.Config
	anchor *fakeAnchor
	file   *anchor.File
	later  atomic.Int64 // of the clock, in nanoseconds
	broken error        // what Sequence of the store answers
	full   int          // how many of its transactions take six seconds and have more left
}

// brokenStore sequences nothing while the bench says so, and slowly.
type brokenStore struct {
	auditlog.Store
	b *bench
}

func (s brokenStore) Sequence(ctx context.Context, h auditlog.Hold, limit int) (int, error) {
	if s.b.broken != nil {
		return 0, s.b.broken
	}
	if s.b.full > 0 { // as if there were that many more
		s.b.full--
		s.b.later.Add(int64(6 * time.Second))
		_, err := s.Store.Sequence(ctx, h, 1)
		return limit, err
	}
	return s.Store.Sequence(ctx, h, limit)
}

type fakeAnchor struct {
	notes []string
	err   error
}

func (*fakeAnchor) Name() string { return "fake" }

func (a *fakeAnchor) Put(_ context.Context, note string) error {
	if a.err == nil {
		a.notes = append(a.notes, note)
	}
	return a.err
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, anchor: new(fakeAnchor)}
	gate := audit.NewGate()
	gate.Set(audit.Stop{}, nil, time.Hour) // while the stack is made
	now := func() time.Time { return time.Now().Add(time.Duration(b.later.Load())) }
	b.Stack = stack.New(t, stack.Config{Gate: gate, Now: now})
	b.AddTenant(t, "acme", "meter")
	b.file = anchor.NewFile(filepath.Join(filepath.Dir(b.Path), "anchor"))
	b.cfg = auditlog.Config{
		Store: brokenStore{b.Store, b}, Keys: b.Signer, Node: "test", Now: now, Log: slog.New(slog.DiscardHandler), Alarms: alarm.NewBoard(now),
		Gate: gate, Anchors: []auditlog.Anchor{b.anchor, b.file}, Every: time.Minute, Bound: 10 * time.Minute,
	}
	var err error
	b.log, err = auditlog.New(t.Context(), b.cfg)
	b.ok(err)
	return b
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) is(kind pki.Kind, err error) {
	b.Helper()
	if err == nil || pki.KindOf(err) != kind {
		b.Errorf("got error %v, want one of kind %s", err, kind)
	}
}

// reader is the permit to read acme's log.
func (b *bench) reader() access.Permit { return b.Permit(b.T, "acme", access.ReadEvents) }

// enroll has a certificate issued.
func (b *bench) enroll(device string) (*pki.Certificate, error) {
	b.Helper()
	got, err := b.Enroll.Enroll(b.Context(), enroll.Request{
		Grant: b.Permit(b.T, "acme", access.Enroll), Endpoint: "acme.meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(b.T, pandotest.Key(b.T, pki.P256), pkix.Name{SerialNumber: device})},
	})
	if err != nil {
		return nil, err
	}
	return got.Certificate, nil
}

func (b *bench) alarms() (names []string) {
	for _, a := range b.cfg.Alarms.All() {
		names = append(names, a.Name+" "+a.Target)
	}
	return names
}

// round makes one of each.
func (b *bench) round() {
	b.Helper()
	b.ok(auditlog.Sequence(b.log, b.Context()))
	_ = auditlog.Deliver(b.log, b.Context()) // what fails there is the test's own doing
	b.ok(auditlog.Watch(b.log, b.Context()))
}

// export returns the export of a tenant's log.
func (b *bench) export(since, until time.Time) []byte {
	b.Helper()
	e, err := b.log.Export(b.Context(), b.reader(), since, until)
	b.ok(err)
	var out bytes.Buffer
	b.ok(e.Write(b.Context(), &out))
	return out.Bytes()
}

// TestLog takes a certificate from its issue to a verified export.
func TestLog(t *testing.T) {
	b := newBench(t)
	b.round()
	c, err := b.enroll("SM-1")
	b.ok(err)
	_, err = b.log.ProveCertificate(b.Context(), b.Permit(t, "acme", access.ReadCertificates), c.Issuer, c.Serial)
	b.is(pki.NotReady, err)
	b.round()
	p, err := b.log.ProveCertificate(b.Context(), b.Permit(t, "acme", access.ReadCertificates), c.Issuer, c.Serial)
	b.ok(err)
	head, err := p.Verify()
	b.ok(err)
	if got := p.Leaf.Certificate; got == nil || got.Serial != audit.Serial(c.Serial) || got.Device != "SM-1" || p.Index != head.Size-1 {
		t.Errorf("%+v at %d is proved in the tree of %d", p.Leaf, p.Index, head.Size)
	}
	note, key, err := b.log.Checkpoint(b.Context(), b.reader())
	b.ok(err)
	if note != p.Checkpoint || key != p.Key {
		t.Error("the proof is for another checkpoint")
	}
	events, _, err := b.Store.Events(b.Context(), "acme", hierarchy.EventFilter{}, "", 1)
	b.ok(err)
	p, err = b.log.ProveEvent(b.Context(), b.reader(), events[0].ID)
	b.ok(err)
	if _, err := p.Verify(); err != nil {
		t.Error(err)
	}
	_, err = b.log.ProveEvent(b.Context(), b.Permit(t, "other", access.ReadEvents), events[0].ID)
	b.is(pki.NotFound, err)

	_, _, err = b.log.Checkpoint(b.Context(), access.Permit{})
	b.is(pki.Forbidden, err)
	_, err = b.log.ProveCertificate(b.Context(), b.Permit(t, "other", access.ReadCertificates), c.Issuer, c.Serial)
	b.is(pki.NotFound, err)

	// The first checkpoints went to the anchors at once; the next goes a minute
	// later.
	before := len(b.anchor.notes)
	b.later.Add(int64(55 * time.Second))
	b.round()
	if len(b.anchor.notes) == before {
		t.Error("no further checkpoint went to the anchors in a minute")
	}
	notes, err := b.file.Newest(b.Context(), "", nil)
	b.ok(err)
	if len(notes) != 2 {
		t.Errorf("the file anchor has %d logs, not the platform's and acme's", len(notes))
	}
	var anchored string
	for _, n := range notes {
		if strings.Contains(n, "/tenant/acme\n") {
			anchored = n
		}
	}
	_, err = b.enroll("SM-2")
	b.ok(err)
	b.round()

	r, err := audit.Verify(bytes.NewReader(b.export(time.Time{}, time.Time{})), audit.VerifyConfig{Key: key, Since: []string{anchored}})
	b.ok(err)
	if !r.OK() || r.Certificates != 3 || len(r.Since) != 1 || r.Checkpoints != 2 {
		t.Errorf("%+v", r)
	}
	b.later.Add(int64(3 * time.Minute))
	part := b.export(b.Now().Add(-30*time.Second), b.Now())
	r, err = audit.Verify(bytes.NewReader(part), audit.VerifyConfig{Key: key, Since: []string{anchored}})
	b.ok(err)
	if !r.OK() || r.From == 0 || r.To != r.Size {
		t.Errorf("%+v", r)
	}
	proof, err := b.log.ProveConsistency(b.Context(), b.reader(), r.Since[0].Size, 0)
	b.ok(err)
	if proof.To != r.Size {
		t.Errorf("the proof goes to %d of %d", proof.To, r.Size)
	}
	_, err = b.log.ProveConsistency(b.Context(), b.reader(), r.Size+1, 0)
	b.is(pki.Malformed, err)
	entries, next, err := b.log.Entries(b.Context(), b.reader(), r.Size-2, 1)
	b.ok(err)
	if len(entries) != 1 || next != r.Size-1 || entries[0].Logged != nil {
		t.Errorf("%+v, next %d", entries, next)
	}
}

// TestExportOfPeriod has every act of a period, also one whose place came after the
// checkpoint that ends it. It verifies with all checkpoints of an anchor.
func TestExportOfPeriod(t *testing.T) {
	b := newBench(t)
	b.round()
	b.later.Add(int64(10 * time.Minute))
	_, err := b.enroll("SM-1")
	b.ok(err)
	b.ok(auditlog.Sequence(b.log, b.Context()))
	_, err = b.enroll("SM-2")
	b.ok(err)
	until := b.cfg.Now()
	b.ok(auditlog.Deliver(b.log, b.Context())) // of what is signed by now
	b.later.Add(int64(3 * time.Minute))
	b.round()
	b.later.Add(int64(10 * time.Minute))
	_, err = b.enroll("SM-3")
	b.ok(err)
	b.round()
	b.later.Add(int64(time.Minute))
	b.round() // the checkpoint is due
	var anchored []string
	for _, n := range b.anchor.notes {
		if strings.Contains(n, "/tenant/acme\n") {
			anchored = append(anchored, n)
		}
	}
	for _, test := range []struct {
		what         string
		since, until time.Time
		want         string
	}{
		{"all", time.Time{}, time.Time{}, "SM-1 SM-2 SM-3"},
		{"up to the second", time.Time{}, until, "SM-1 SM-2"},
		{"from after the second", until.Add(8 * time.Minute), time.Time{}, "SM-3"},
		{"between", until.Add(8 * time.Minute), until.Add(9 * time.Minute), "SM-3"}, // the checkpoint that ends it is later
		{"the future", until.Add(time.Hour), until.Add(2 * time.Hour), ""},
		{"before all", time.Unix(0, 0), time.Unix(1, 0), ""},
	} {
		export := b.export(test.since, test.until)
		// With all that the anchor has, of which some is from before or after.
		r, err := audit.Verify(bytes.NewReader(export), audit.VerifyConfig{Since: anchored})
		if err != nil || !r.OK() || int64(len(r.Since))+r.NotCompared.Total() != int64(len(anchored)) {
			t.Errorf("%s: %+v, %v", test.what, r, err)
		}
		var got []string
		for _, device := range []string{"SM-1", "SM-2", "SM-3"} {
			if bytes.Contains(export, []byte(`"`+device+`"`)) {
				got = append(got, device)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: the export has %v, not %s", test.what, got, test.want)
		}
	}
}

// TestProgress: a start that has many entries to give their places says every ten seconds
// how far it is; one that has few says nothing.
func TestProgress(t *testing.T) {
	b := newBench(t)
	var said bytes.Buffer
	b.cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
	for n := range 5 {
		if _, err := b.enroll(fmt.Sprintf("sm-%d", n)); err != nil {
			t.Fatal(err)
		}
	}
	b.full = 4
	_, err := auditlog.New(t.Context(), b.cfg)
	b.ok(err)
	var told []string
	for line := range strings.Lines(said.String()) {
		if _, what, ok := strings.Cut(line, "entries of the audit log get their places"); ok {
			_, what, _ = strings.Cut(what, "waited=")
			told = append(told, strings.TrimSpace(what))
		}
	}
	if diff := cmp.Diff([]string{"5 left=3 for=12s", "5 left=1 for=24s"}, told); diff != "" {
		t.Errorf("what is said (-want +got):\n%s", diff)
	}
	said.Reset()
	_, err = auditlog.New(t.Context(), b.cfg)
	b.ok(err)
	if strings.Contains(said.String(), "their places") {
		t.Errorf("without anything to do: %s", said.String())
	}
}

// TestBacklog: no log, no issuance, nor anything else; and it goes on by itself.
func TestBacklog(t *testing.T) {
	b := newBench(t)
	b.round()
	b.broken = errors.New("no space left on the device")
	c, err := b.enroll("SM-1")
	b.ok(err) // its leaf waits
	b.later.Add(int64(2 * time.Minute))
	if err := auditlog.Sequence(b.log, b.Context()); !errors.Is(err, b.broken) {
		t.Errorf("%v", err)
	}
	b.ok(auditlog.Watch(b.log, b.Context()))
	_, err = b.enroll("SM-2")
	b.is(pki.Unavailable, err)
	_, err = b.Hierarchy.CreateTenant(b.Context(), b.Permit(t, pki.Platform, access.ManageTenants), hierarchy.NewTenant{ID: "other", Organization: "Other"})
	b.is(pki.Unavailable, err)
	if got := b.alarms(); len(got) != 1 || got[0] != "log.backlog " {
		t.Errorf("alarms %v", got)
	}

	b.broken = nil
	b.round()
	_, err = b.enroll("SM-2")
	b.ok(err)
	if got := b.alarms(); len(got) != 0 {
		t.Errorf("alarms %v", got)
	}
	if _, err := b.log.ProveCertificate(b.Context(), b.Permit(t, "acme", access.ReadCertificates), c.Issuer, c.Serial); err != nil {
		t.Error(err)
	}
}

// TestAnchorLost: an anchor that lost what it had takes what comes, and that is an alarm.
func TestAnchorLost(t *testing.T) {
	b := newBench(t)
	b.round()
	_, err := b.enroll("SM-1")
	b.ok(err)
	b.later.Add(int64(2 * time.Minute))
	b.round()
	if got := b.alarms(); len(got) != 0 {
		t.Errorf("alarms %v", got)
	}
	dir := strings.TrimPrefix(b.file.Name(), "file ")
	b.ok(os.Rename(dir, dir+".away"))
	for n := range 2 {
		_, err = b.enroll(fmt.Sprint("SM-2", n))
		b.ok(err)
		b.later.Add(int64(2 * time.Minute))
		b.round()
		if diff := cmp.Diff([]string{"anchor.lost file " + dir}, b.alarms()); diff != "" {
			t.Errorf("alarms (-want +got):\n%s", diff)
		}
	}
}

// TestAnchorLate: without an anchor issuance stops, and goes on once one is back.
func TestAnchorLate(t *testing.T) {
	b := newBench(t)
	b.cfg.Anchors = []auditlog.Anchor{b.anchor}
	var err error
	b.log, err = auditlog.New(b.Context(), b.cfg)
	b.ok(err)
	b.round()
	b.anchor.err = errors.New("no route to host")
	_, err = b.enroll("SM-1")
	b.ok(err)
	for range 7 {
		b.later.Add(int64(2 * time.Minute))
		b.round()
	}
	_, err = b.enroll("SM-2")
	b.is(pki.Unavailable, err)
	if got := strings.Join(b.alarms(), ","); got != "anchor.late ,anchor.late fake" {
		t.Errorf("alarms %s", got)
	}
	// Other acts go on: somebody must be able to mend it.
	_, err = b.Hierarchy.CreateTenant(b.Context(), b.Permit(t, pki.Platform, access.ManageTenants), hierarchy.NewTenant{ID: "other", Organization: "Other"})
	b.ok(err)

	b.anchor.err = nil
	b.round()
	_, err = b.enroll("SM-2")
	b.ok(err)
	if got := b.alarms(); len(got) != 0 {
		t.Errorf("alarms %v", got)
	}
}

// slowAnchor takes what it gets when it is let.
type slowAnchor struct {
	fakeAnchor
	let chan struct{}
}

func (*slowAnchor) Name() string { return "slow" }

func (a *slowAnchor) Put(ctx context.Context, note string) error {
	<-a.let
	return a.fakeAnchor.Put(ctx, note)
}

// TestSlowAnchor holds up no other, and is late itself, also where it takes one now and
// then and where the logs grow no more.
func TestSlowAnchor(t *testing.T) {
	b := newBench(t)
	slow := &slowAnchor{let: make(chan struct{})}
	b.cfg.Anchors = []auditlog.Anchor{slow, b.anchor}
	var err error
	b.log, err = auditlog.New(b.Context(), b.cfg)
	b.ok(err)
	ctx, cancel := context.WithCancel(b.Context())
	running := make(chan error)
	go func() { running <- b.log.Run(ctx) }()
	until := func(what string, done func() bool) {
		t.Helper()
		for begun := time.Now(); !done(); time.Sleep(time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Fatal(what)
			}
		}
	}
	until("the other anchor got nothing", func() bool {
		logs, err := b.Store.Logs(ctx)
		b.ok(err)
		for _, l := range logs {
			if l.AnchoredSize == 0 {
				return false
			}
		}
		return len(logs) == 2
	})
	b.later.Add(int64(11 * time.Minute)) // and nothing grows
	slow.let <- struct{}{}               // the first of two
	until("it is not late", func() bool { return strings.Contains(strings.Join(b.alarms(), ","), "anchor.late slow") })
	slow.let <- struct{}{}
	until("it is late still", func() bool { return len(b.alarms()) == 0 })
	close(slow.let) // for what there may be besides
	cancel()
	b.ok(<-running)
}

// TestGateClosesByItself where nobody watches the log.
func TestGateClosesByItself(t *testing.T) {
	b := newBench(t)
	b.cfg.Gate.Set(audit.Stop{}, nil, -time.Second)
	_, err := b.enroll("SM-1")
	b.is(pki.Unavailable, err)
	b.round()
	_, err = b.enroll("SM-1")
	b.ok(err)
}

// TestCompare: a store that is older than its anchor, or another, or whose log was written
// anew or has another key, does not start; also where that is a webhook alone.
func TestCompare(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		b := newBench(t)
		compare(b, b.cfg)
	})
	t.Run("webhook", func(t *testing.T) {
		b := newBench(t)
		webhook, err := anchor.NewWebhook(fakeanchor.New(t).URL, pki.NewSecret(fakeanchor.Secret))
		b.ok(err)
		b.cfg.Anchors = []auditlog.Anchor{anchor.ReadableWebhook{Webhook: webhook}}
		b.log, err = auditlog.New(b.Context(), b.cfg)
		b.ok(err)
		compare(b, b.cfg)
	})
}

func compare(b *bench, cfg auditlog.Config) {
	t := b.T
	b.round()
	old := filepath.Join(t.TempDir(), "pando.db")
	for _, file := range []string{"", "-wal"} { // nothing writes meanwhile
		content, err := os.ReadFile(b.Path + file)
		b.ok(err)
		b.ok(os.WriteFile(old+file, content, 0o600))
	}
	_, err := b.enroll("SM-1")
	b.ok(err)
	b.round()
	b.ok(b.log.Finish(b.Context()))

	start := func(store auditlog.Store) error {
		cfg.Store, cfg.Node = store, "another"
		_, err := auditlog.New(b.Context(), cfg)
		return err
	}
	b.ok(start(b.Store))
	reopened := func(path string) *sqlstore.Store {
		s, err := sqlstore.Open(b.Context(), path, sqlstore.Options{})
		b.ok(err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	err = start(reopened(old))
	b.is(pki.Unavailable, err)
	if err == nil || !strings.Contains(err.Error(), "the database is older than it") {
		t.Errorf("an older store: %v", err)
	}
	err = start(reopened(filepath.Join(t.TempDir(), "new.db")))
	b.is(pki.Unavailable, err)
	if err == nil || !strings.Contains(err.Error(), "another deployment") {
		t.Errorf("a new store: %v", err)
	}

	// Whoever has the log's key writes it anew, as long as it was.
	rewritten := b.copied()
	rewritten.do(`UPDATE event SET detail = detail || 'x' WHERE num = (SELECT min(num) FROM event WHERE tenant = 'acme')`)
	rewritten.rebuild(false)
	err = start(reopened(rewritten.path))
	b.is(pki.Unavailable, err)
	if err == nil || !strings.Contains(err.Error(), "entries were changed") {
		t.Errorf("a log that was rewritten: %v", err)
	}
	if was, is := b.copied().size(), rewritten.size(); is != was {
		t.Errorf("the log that was rewritten has %d entries, and had %d", is, was)
	}

	// Whoever has it not puts another in its place.
	deployment, err := b.Store.Deployment(b.Context())
	b.ok(err)
	public, _, err := ed25519.GenerateKey(nil)
	b.ok(err)
	key, err := audit.NewKey(audit.Origin(deployment, "acme"), public)
	b.ok(err)
	replaced := b.copied()
	replaced.do(fmt.Sprintf(`UPDATE log SET verifier = '%s' WHERE tenant = %s`, key, acmeLog))
	err = start(reopened(replaced.path))
	b.is(pki.Unavailable, err)
	if err == nil || !strings.Contains(err.Error(), "is not signed by the key that the database has for it") {
		t.Errorf("a log whose key is another: %v", err)
	}
}

// unreadable is an anchor that cannot be asked.
type unreadable struct{ fakeAnchor }

func (*unreadable) Newest(context.Context, string, []string) ([]string, error) {
	return nil, errors.New("no route to host")
}

// TestUnreadableAnchor keeps no server down that has another; alone it does.
func TestUnreadableAnchor(t *testing.T) {
	b := newBench(t)
	b.round()
	cfg := b.cfg
	cfg.Anchors = []auditlog.Anchor{new(unreadable), b.file}
	_, err := auditlog.New(b.Context(), cfg)
	b.ok(err)
	cfg.Anchors = []auditlog.Anchor{new(unreadable), b.anchor}
	_, err = auditlog.New(b.Context(), cfg)
	b.is(pki.Unavailable, err)
}

// TestFinishAtOnce: the log of a new tenant is made once, however many sequence at once.
func TestFinishAtOnce(t *testing.T) {
	b := newBench(t)
	b.cfg.Anchors, b.cfg.Gate = []auditlog.Anchor{b.file}, audit.NewGate()
	log, err := auditlog.New(t.Context(), b.cfg)
	b.ok(err)
	for _, tenant := range []pki.TenantID{"globex", "initech", "umbrella"} {
		b.AddTenant(t, tenant)
		var all errgroup.Group
		for range 8 {
			all.Go(func() error { return log.Finish(t.Context()) })
		}
		b.ok(all.Wait())
	}
}
