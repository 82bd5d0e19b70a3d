package quota_test

import (
	"context"
	"crypto"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
)

// unsteady is a provider whose keys fail now and then, so that intents come to nothing.
type unsteady struct {
	keystore.Provider
	failing atomic.Bool
	mu      sync.Mutex
	random  *rand.Rand // guarded by mu
}

// fails reports whether the key fails this time.
func (p *unsteady) fails() bool {
	if !p.failing.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.IntN(20) == 0
}

func (p *unsteady) wrap(inner keystore.Provider) keystore.Provider {
	p.Provider = inner
	return p
}

func (p *unsteady) Open(ctx context.Context, uri pki.KeyURI) (*keystore.Key, error) {
	k, err := p.Provider.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	open := *k
	open.Signer = unsteadySigner{k.Signer, p}
	return &open, nil
}

type unsteadySigner struct {
	crypto.Signer
	p *unsteady
}

func (s unsteadySigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.p.fails() {
		return nil, errors.New("the key does not answer")
	}
	return s.Signer.Sign(random, digest, opts)
}

type plant struct {
	*stack.Stack
	keys *unsteady
}

func newPlant(t *testing.T) *plant {
	p := &plant{keys: &unsteady{random: pandotest.Seeded(t)}}
	p.Stack = stack.New(t, stack.Config{WrapKeys: p.keys.wrap})
	p.AddTenant(t, "acme", "meter")
	if _, err := p.Registry.CreatePlace(t.Context(), p.Permit(t, "acme", access.ManageRegistry), registry.ProductLine, "pro", ""); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *plant) set(t *testing.T, target string, limit int64) *quota.Quota {
	t.Helper()
	parsed, err := quota.ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	q, err := p.Quotas.Set(t.Context(), p.Permit(t, "acme", access.ManageQuotas), parsed, limit)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// one returns acme's only quota; its rows must hold what it says.
func (p *plant) one(t *testing.T) *quota.Quota {
	t.Helper()
	all, err := p.Quotas.Quotas(t.Context(), p.Permit(t, "acme", access.ReadQuotas))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	held, err := p.Store.QuotaHeld(t.Context(), all[0])
	if err != nil || held != all[0].Used {
		t.Fatalf("%d are used and %d held: %v", all[0].Used, held, err)
	}
	return all[0]
}

func (p *plant) enroll(ctx context.Context, t *testing.T, device string) error {
	_, err := p.Enroll.Enroll(ctx, enroll.Request{Grant: p.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device}), Placement: pki.Placement{ProductLine: "pro"}}})
	return err
}

// batch has a batch be issued and returns how many certificates it has.
func (p *plant) batch(t *testing.T, prefix string, rows int) int64 {
	t.Helper()
	b, err := p.Batch.Submit(t.Context(), p.Permit(t, "acme", access.ManageBatches),
		batch.Submission{Endpoint: "meter", Format: batch.PEM, Defaults: pki.Placement{ProductLine: "pro"}}, pandotest.PEMRequests(t, prefix, rows))
	if err != nil {
		t.Error(err)
		return 0
	}
	for last, err := range p.Batch.Watch(t.Context(), p.Permit(t, "acme", access.ReadBatches), b.ID) {
		if err != nil {
			t.Error(err)
			return 0
		}
		b = last
	}
	return b.Issued
}

// TestExact asks for more than there may be, with many single requests and batches at
// once and a key that fails now and then, against a quota of each kind: as many are
// issued as it says, none more and none less.
func TestExact(t *testing.T) {
	for _, target := range []string{"tenant", "authority:issuing", "profile:meter", "product-line:pro", "endpoint:meter"} {
		t.Run(target, func(t *testing.T) {
			p := newPlant(t)
			const before, limit = 3, 60
			for n := range before {
				if err := p.enroll(t.Context(), t, fmt.Sprint("before-", n)); err != nil {
					t.Fatal(err)
				}
			}
			if q := p.set(t, target, limit); q.Counting || q.Used != before {
				t.Fatalf("it was set with what is there: %+v", q)
			}
			p.keys.failing.Store(true)
			var singles, rows, refused atomic.Int64
			var all sync.WaitGroup
			for n := range 40 {
				all.Go(func() {
					for {
						err := p.enroll(t.Context(), t, fmt.Sprint("single-", n))
						switch kind := pki.KindOf(err); {
						case err == nil:
							singles.Add(1)
						case kind == pki.QuotaExceeded:
							refused.Add(1)
						case kind == pki.Unavailable:
							continue // its key failed
						default:
							t.Error(err)
						}
						return
					}
				})
			}
			for n := range 3 {
				all.Go(func() { rows.Add(p.batch(t, fmt.Sprint("batch-", n, "-"), 25)) })
			}
			all.Wait()
			p.keys.failing.Store(false)
			// What was refused beside an intent that came to nothing is room still.
			for n := 0; ; n++ {
				err := p.enroll(t.Context(), t, fmt.Sprint("last-", n))
				if pki.KindOf(err) == pki.QuotaExceeded && err != nil {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				singles.Add(1)
			}
			t.Logf("%d single ones and %d of batches; %d refused", singles.Load(), rows.Load(), refused.Load())
			if got := before + singles.Load() + rows.Load(); got != limit {
				t.Errorf("%d were issued, want %d", got, limit)
			}
			if q := p.one(t); q.Used != limit {
				t.Errorf("%d are used, want %d", q.Used, limit)
			}
		})
	}
}

// TestFreed: decommissioning a device frees what its certificates took, renewals too.
func TestFreed(t *testing.T) {
	p := newPlant(t)
	p.set(t, "tenant", 2)
	for range 2 { // the second is a renewal with another key, and counts
		if err := p.enroll(t.Context(), t, "SM-1"); err != nil {
			t.Fatal(err)
		}
	}
	err := p.enroll(t.Context(), t, "SM-2")
	if pki.KindOf(err) != pki.QuotaExceeded || !strings.Contains(pki.DetailOf(err), "the tenant's quota, 2 certificates, is used up") {
		t.Errorf("got %v", err)
	}
	if _, err := p.Registry.ChangeDevice(t.Context(), p.Permit(t, "acme", access.ManageDevices), "SM-1", registry.Decommission, "scrapped"); err != nil {
		t.Fatal(err)
	}
	if q := p.one(t); q.Used != 0 {
		t.Errorf("%d are used after its only device was decommissioned", q.Used)
	}
	if err := p.enroll(t.Context(), t, "SM-2"); err != nil {
		t.Error(err)
	}
}

// TestAlarm: nine tenths raise an alarm, and it goes when they are not used any more.
func TestAlarm(t *testing.T) {
	p := newPlant(t)
	p.set(t, "profile:meter", 10)
	look := func(want ...string) {
		t.Helper()
		if err := p.Quotas.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range p.Alarms.Of("acme") {
			got = append(got, fmt.Sprintf("%s %s of %s: %s", a.Severity, a.Name, a.Target, a.What))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	for n := range 10 {
		if err := p.enroll(t.Context(), t, fmt.Sprint("SM-", n)); err != nil {
			t.Fatal(err)
		}
		switch n {
		case 7:
			look()
		case 8:
			look("warning quota.used of profile:meter: 9 of the 10 certificates of the quota for profile:meter are used.")
		case 9:
			look("critical quota.used of profile:meter: 10 of the 10 certificates of the quota for profile:meter are used.")
		}
	}
	p.set(t, "profile:meter", 20)
	look()
}

// TestNeeds: each act needs its permission, and a limit has bounds.
func TestNeeds(t *testing.T) {
	p := newPlant(t)
	read, manage := p.Permit(t, "acme", access.ReadQuotas), p.Permit(t, "acme", access.ManageQuotas)
	whole := quota.Target{Kind: quota.Tenant}
	_, err := p.Quotas.Set(t.Context(), read, whole, 5)
	_, listed := p.Quotas.Quotas(t.Context(), access.Permit{})
	for _, err := range []error{err, listed, p.Quotas.Remove(t.Context(), read, whole)} {
		if pki.KindOf(err) != pki.Forbidden {
			t.Errorf("got %v", err)
		}
	}
	for _, limit := range []int64{-1, quota.MaxLimit + 1} {
		if _, err := p.Quotas.Set(t.Context(), manage, whole, limit); pki.KindOf(err) != pki.Malformed {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

// TestRun: what Set does not count at once is counted by Run.
func TestRun(t *testing.T) {
	s := newSlow()
	q := quota.New(quota.Config{Store: s, Alarms: alarm.NewBoard(time.Now), Now: time.Now})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	<-s.looked
	p, err := access.Principal{Tenant: "acme", ID: "token:test", Grants: access.Given(access.TenantAdministrator)}.Authorize(access.ManageQuotas, "acme")
	if err != nil {
		t.Fatal(err)
	}
	set, err := q.Set(ctx, p, quota.Target{Kind: quota.Tenant}, 1_000_000)
	if err != nil || !set.Counting {
		t.Fatal(set, err)
	}
	<-s.counted
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// slow is a store in which counting takes a hundred steps.
type slow struct {
	quota.Store
	looked, counted chan struct{}
	mu              sync.Mutex
	left            int
	set             *quota.Quota
}

func newSlow() *slow { return &slow{looked: make(chan struct{}, 1), counted: make(chan struct{})} }

func (s *slow) SetQuota(_ context.Context, q quota.Quota, _ bool, _ pki.Event) (*quota.Quota, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.Counting, s.left, s.set = true, 100, &q
	return &q, nil
}

func (s *slow) Quotas(context.Context, pki.TenantID) ([]*quota.Quota, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		return nil, nil
	}
	return []*quota.Quota{s.set}, nil
}

func (s *slow) AllQuotas(context.Context) ([]*quota.Quota, error) {
	select {
	case s.looked <- struct{}{}:
	default:
	}
	return nil, nil
}

func (s *slow) CountQuotas(context.Context, int) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return false, nil
	}
	if s.left--; s.left == 0 {
		close(s.counted)
	}
	return s.left > 0, nil
}

func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{"tenant", "profile:meter", "authority:m-1", "product-line:Pro 2:a", "profile:", "tenant:x", ":"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		target, err := quota.ParseTarget(text)
		if err != nil {
			if pki.KindOf(err) != pki.Malformed {
				t.Fatal(err)
			}
			return
		}
		if again, err := quota.ParseTarget(target.String()); err != nil || again != target || target.String() != text {
			t.Fatalf("%q is %+v, and that is %q", text, target, target.String())
		}
	})
}
