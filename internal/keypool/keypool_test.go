package keypool_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/keypool"
	"github.com/pando-pki/pando/internal/parallel"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// newPool returns a pool that has some keys of one kind ready.
func newPool(ahead map[pki.KeyKind]int) *keypool.Pool {
	return keypool.New(keypool.Config{Ahead: ahead, Do: new(parallel.Cores).Do, Log: slog.New(slog.DiscardHandler)})
}

// run runs a pool; stop ends it.
func run(t *testing.T, p *keypool.Pool) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestKinds: a key of each kind can be had, and signs its request.
func TestKinds(t *testing.T) {
	p := newPool(keypool.Ahead())
	defer run(t, p)()
	for _, kind := range pki.KeyKinds() {
		if kind == pki.RSA4096 || kind == pki.RSA3072 || kind == pki.RSA4096PSS || kind == pki.RSA3072PSS {
			continue // as those of 2048 bits, and slower
		}
		key, err := p.Take(t.Context(), "acme", kind)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if key.Public().Kind() != kind {
			t.Errorf("%s: a key of kind %s", kind, key.Public().Kind())
		}
		request, err := key.Request(tbs.AppendCSR(nil, []byte{0x30, 0}, key.Public(), nil))
		if err != nil {
			t.Fatal(err)
		}
		csr, err := tbs.ParseCSR(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := csr.CheckProof(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if text := fmt.Sprintf("%v %+v %#v", key, *key, key.Private()); text != "[secret] [secret] [secret]" {
			t.Errorf("it prints as %.60q", text)
		}
		key.Private().Clear()
	}
	if _, err := p.Take(t.Context(), "acme", "p224"); pki.KindOf(err) != pki.Malformed {
		t.Errorf("a key of a kind that is not known: %v", err)
	}
}

// TestEachKeyOnce: whoever asks, at once with others, has a key of its own, and what is
// ready beforehand is bounded.
func TestEachKeyOnce(t *testing.T) {
	const most, takers, each = 8, 32, 10
	p := newPool(map[pki.KeyKind]int{pki.P256: most, pki.Ed25519: most})
	defer run(t, p)()
	var mu sync.Mutex
	seen := make(map[string]int)
	var wg sync.WaitGroup
	for i := range takers {
		wg.Go(func() {
			kind := []pki.KeyKind{pki.P256, pki.Ed25519, pki.P384}[i%3]
			for range each {
				key, err := p.Take(t.Context(), "acme", kind)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[string(key.Public().SPKI())]++
				mu.Unlock()
				key.Private().Clear()
			}
		})
	}
	wg.Wait()
	if len(seen) != takers*each {
		t.Errorf("%d keys for %d takers, want one each", len(seen), takers*each)
	}
	ready, waiting := p.Ready()
	if ready[pki.P256] > most || ready[pki.Ed25519] > most || waiting != 0 {
		t.Errorf("%v are ready, at most %d of a kind, and %d wait", ready, most, waiting)
	}
	if count, _, _ := p.Made().Read(); count < takers*each {
		t.Errorf("%d keys are counted", count)
	}
}

// TestReady: keys are ready for a kind that was asked for, as many as were wanted at
// once, and given up when nobody asks any more.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(map[pki.KeyKind]int{pki.P256: 4, pki.P384: 4})
		defer run(t, p)()
		synctest.Wait()
		if ready, _ := p.Ready(); ready[pki.P256] != 0 {
			t.Errorf("%d keys are ready that nobody asked for", ready[pki.P256])
		}
		take := func() *keypool.Key {
			key, err := p.Take(t.Context(), "acme", pki.P256)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return key
		}
		take()
		if ready, _ := p.Ready(); ready[pki.P256] != 2 || ready[pki.P384] != 0 {
			t.Errorf("%v are ready after the first, want 2", ready)
		}
		held := take()
		before := held.Private()
		if ready, _ := p.Ready(); ready[pki.P256] != 2 {
			t.Errorf("%v are ready, want 2", ready)
		}
		p.Return(held)
		if ready, _ := p.Ready(); ready[pki.P256] != 3 || before.IsZero() {
			t.Errorf("%v are ready after one came back, want 3", ready)
		}
		time.Sleep(59 * time.Minute)
		if ready, _ := p.Ready(); ready[pki.P256] != 3 {
			t.Errorf("%v are ready within the hour, want 3", ready)
		}
		time.Sleep(3 * time.Minute)
		if ready, _ := p.Ready(); ready[pki.P256] != 0 {
			t.Errorf("%v are ready though nobody asked for an hour", ready)
		}
		if !before.IsZero() {
			t.Error("a key that was given up is there still")
		}
	})
}

// TestBesideBatch: a request that waits for a key does not wait for all that a batch has in
// line, also where the makers stand there already for keys that nobody waits for.
func TestBesideBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // one of which is left to single requests
		cores := new(parallel.Cores)
		defer cores.Single()()
		p := keypool.New(keypool.Config{Ahead: map[pki.KeyKind]int{pki.P256: 4}, Do: cores.Do, Log: slog.New(slog.DiscardHandler)})
		defer run(t, p)()
		var batch sync.WaitGroup
		var chunks atomic.Int32 // that have ended
		line := func() {
			for range 10 {
				batch.Go(func() {
					if err := cores.Each(1, func(int) error { time.Sleep(time.Millisecond); chunks.Add(1); return nil }); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			chunks.Store(0)
		}
		take := func(when string, most int) {
			t.Helper()
			if err := last(p.Take(t.Context(), "acme", pki.P256)); err != nil {
				t.Fatal(err)
			}
			if n := int(chunks.Load()); n > most {
				t.Errorf("%s: a request waited for %d chunks, want %d at most", when, n, most)
			}
		}
		line()
		take("makers have nothing to do", 2)
		synctest.Wait()
		ready, _ := p.Ready()
		if ready[pki.P256] != 0 {
			t.Errorf("%d keys that nobody waits for were made before chunks", ready[pki.P256])
		}
		line()
		take("makers are in line", 2)
		batch.Wait()
		synctest.Wait()
		if ready, _ := p.Ready(); ready[pki.P256] == 0 {
			t.Error("no keys are ready after the batch")
		}
	})
}

// TestReturnToFull: there are never more keys than may be.
func TestReturnToFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(map[pki.KeyKind]int{pki.P256: 1})
		defer run(t, p)()
		var held []*keypool.Key
		for range 3 {
			key, err := p.Take(t.Context(), "acme", pki.P256)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, key)
		}
		synctest.Wait()
		for _, k := range held {
			p.Return(k)
			if private := k.Private(); !private.IsZero() {
				t.Error("a key that came back and has no place is there still")
			}
		}
		if ready, _ := p.Ready(); ready[pki.P256] != 1 {
			t.Errorf("%v are ready, want 1", ready)
		}
	})
}

// TestReturn: a key of a request that was refused serves another.
func TestReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(map[pki.KeyKind]int{pki.P256: 1})
		stop := run(t, p)
		key, err := p.Take(t.Context(), "acme", pki.P256)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		other, err := p.Take(t.Context(), "acme", pki.P256) // the one that is ready
		if err != nil {
			t.Fatal(err)
		}
		stop() // makes no more
		for _, k := range []*keypool.Key{key, other} {
			p.Return(k)
			if private := k.Private(); !private.IsZero() {
				t.Error("a key is kept at the end")
			}
		}
	})
}

// TestStop: at the end keys are overwritten, and whoever waits or asks is told so.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(map[pki.KeyKind]int{pki.P256: 4})
		waits := make(chan error, 1)
		go func() {
			_, err := p.Take(t.Context(), "acme", pki.P256)
			waits <- err
		}()
		synctest.Wait() // nobody makes keys
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := take(ctx, cancel, p); err == nil {
			t.Error("a request that went away has a key")
		}
		if _, waiting := p.Ready(); waiting != 1 {
			t.Errorf("%d wait, want 1", waiting)
		}
		done, end := context.WithCancel(t.Context())
		end()
		if err := p.Run(done); err != nil {
			t.Error(err)
		}
		if err := <-waits; err != nil && pki.KindOf(err) != pki.Unavailable { // nil: a key was made before the end
			t.Errorf("whoever waits at the end: %v", err)
		}
		if _, err := p.Take(t.Context(), "acme", pki.P256); pki.KindOf(err) != pki.Unavailable {
			t.Errorf("whoever asks after the end: %v", err)
		}
		if ready, waiting := p.Ready(); ready[pki.P256] != 0 || waiting != 0 {
			t.Errorf("%v are ready and %d wait after the end", ready, waiting)
		}
	})
}

// take asks for a key and goes away while it waits.
func take(ctx context.Context, cancel func(), p *keypool.Pool) (*keypool.Key, error) {
	time.AfterFunc(time.Second, cancel)
	return p.Take(ctx, "acme", pki.P256)
}

func last(_ *keypool.Key, err error) error { return err }

// TestWaiting: no more requests wait than may, and one tenant leaves places to others.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		family := func(t pki.TenantID) pki.TenantID { return pki.TenantID(strings.TrimSuffix(string(t), "-child")) }
		p := keypool.New(keypool.Config{Ahead: map[pki.KeyKind]int{pki.P256: 4}, Do: new(parallel.Cores).Do, Family: family, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		ask := func(tenant pki.TenantID, n int) (refused int) {
			results := make(chan error, n)
			for range n {
				go func() { results <- last(p.Take(ctx, tenant, pki.P256)) }()
			}
			synctest.Wait()
			for len(results) > 0 {
				if err := <-results; pki.KindOf(err) != pki.Unavailable {
					t.Errorf("one more is refused: %v", err)
				}
				refused++
			}
			return refused
		}
		if got := ask("acme", keypool.MaxFamily+3); got != 3 {
			t.Errorf("%d of one tenant are refused, want 3", got)
		}
		if got := ask("other", keypool.MaxFamily+2); got != 2 {
			t.Errorf("%d of the other tenant are refused, want 2", got)
		}
		if got := ask("acme-child", 1); got != 1 {
			t.Error("a child of the one tenant waits beside as many as its family may have")
		}
		if got := ask("third", 1); got != 1 {
			t.Error("more wait than may")
		}
		cancel()
		synctest.Wait()
		if _, waiting := p.Ready(); waiting != 0 {
			t.Errorf("%d wait after they went away", waiting)
		}
	})
}
