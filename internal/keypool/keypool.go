// Package keypool makes private keys for devices that cannot make their own, and has
// some of the kinds that take long ready before anybody asks.
//
// A key is in memory alone, as PKCS #8 that is overwritten when it has been handed out
// or is not wanted any more: it is never stored and never logged. What the libraries
// that make and use keys copy of them meanwhile is left to the garbage collector.
//
// It does not say who may have a key: that is for the registration authority.
package keypool

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// MaxWaiting is how many requests may wait for a key at once, and MaxFamily how many of
// one family of tenants; one more is Unavailable. A key of RSA takes some tenths of a second, one
// of 4096 bits some seconds.
const (
	MaxWaiting = 256
	MaxFamily  = MaxWaiting / 2
)

// idle is after how long without a request the keys of a kind are given up.
const idle = time.Hour

// Ahead returns how many keys of each kind are ready at most: of those that take long.
// The others are made when they are asked for.
func Ahead() map[pki.KeyKind]int {
	return map[pki.KeyKind]int{
		pki.RSA2048: 128, pki.RSA3072: 64, pki.RSA4096: 32,
		pki.RSA2048PSS: 8, pki.RSA3072PSS: 8, pki.RSA4096PSS: 8, pki.SLHDSA: 8,
	}
}

// Config is what a Pool is made of; every field but Family is needed.
type Config struct {
	Ahead map[pki.KeyKind]int // see the function
	// Do does work on the cores that others leave to it; see parallel.Cores.
	Do     func(urgent func() bool, f func() error) error
	Family pki.FamilyOf // whose requests share what one may have waiting; nil: each tenant its own
	Log    *slog.Logger
}

// A Pool has keys. Its methods are safe for concurrent use.
type Pool struct {
	cfg  Config
	made *stat.Histogram

	mu      sync.Mutex // guards the rest
	work    sync.Cond  // L is mu; signalled when there is a key to make, and at the end
	shelves map[pki.KeyKind]*shelf
	asked   uint64               // counts those that had to wait
	waiting map[pki.TenantID]int // of them, those that still do, by family
	waiters int                  // of all tenants
	closed  bool
}

// A shelf has the keys of one kind.
type shelf struct {
	kind   pki.KeyKind
	keys   []pki.PrivateKey // ready
	wanted int              // how many are to be ready: more the more are asked for
	most   int
	making int
	queue  []*waiter
	last   time.Time // that one was asked for
}

// A waiter is a request that found no key. The channel has a place, so that nobody waits
// for one that went away.
type waiter struct {
	turn uint64
	got  chan delivery
}

type delivery struct {
	key pki.PrivateKey
	err error
}

// New returns a Pool. Run must be running for keys of the kinds that take long.
func New(cfg Config) *Pool {
	p := &Pool{cfg: cfg, made: stat.NewHistogram(stat.Seconds()...), shelves: make(map[pki.KeyKind]*shelf), waiting: make(map[pki.TenantID]int)}
	p.work.L = &p.mu
	for kind, most := range cfg.Ahead {
		p.shelves[kind] = &shelf{kind: kind, most: most}
	}
	return p
}

// Run makes keys, on all cores, until ctx ends; then it overwrites those that are left,
// and whoever waits is Unavailable.
func (p *Pool) Run(ctx context.Context) error {
	var makers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		makers.Go(p.makeAll)
	}
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.close()
			makers.Wait()
			return nil
		case <-tick.C:
			p.giveUp(time.Now().Add(-idle))
		}
	}
}

// Take returns a key of a kind for a request of a tenant. Whoever takes it clears it.
func (p *Pool) Take(ctx context.Context, tenant pki.TenantID, kind pki.KeyKind) (*Key, error) {
	s := p.shelves[kind]
	if s == nil {
		pkcs8, err := p.generate(kind)
		if err != nil {
			return nil, err
		}
		return open(pkcs8)
	}
	family := p.cfg.Family.Of(tenant)
	key, w, err := p.reserve(family, s)
	if err != nil {
		return nil, err
	}
	if w != nil {
		if key, err = p.await(ctx, family, s, w); err != nil {
			return nil, err
		}
	}
	return open(key)
}

// reserve takes a key that is ready, or a place in the queue.
func (p *Pool) reserve(family pki.TenantID, s *shelf) (pki.PrivateKey, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return pki.PrivateKey{}, nil, errClosed()
	}
	s.last = time.Now()
	defer p.work.Broadcast()
	if n := len(s.keys); n > 0 {
		key := s.keys[n-1]
		s.keys = s.keys[:n-1]
		return key, nil, nil
	}
	if p.waiters >= MaxWaiting || p.waiting[family] >= MaxFamily {
		return pki.PrivateKey{}, nil, &pki.Error{Kind: pki.Unavailable, Detail: "too many requests wait for a key that is made here", RetryAfter: 2 * time.Second}
	}
	s.wanted = min(max(2*s.wanted, 2), s.most)
	p.asked++
	w := &waiter{turn: p.asked, got: make(chan delivery, 1)}
	s.queue = append(s.queue, w)
	p.waiters++
	p.waiting[family]++
	return pki.PrivateKey{}, w, nil
}

// await waits for the key of a place in the queue.
func (p *Pool) await(ctx context.Context, family pki.TenantID, s *shelf, w *waiter) (pki.PrivateKey, error) {
	var got delivery
	select {
	case got = <-w.got:
	case <-ctx.Done():
		got.err = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiters--
	if p.waiting[family]--; p.waiting[family] == 0 {
		delete(p.waiting, family)
	}
	if got.err != nil {
		p.leave(s, w)
	}
	return got.key, got.err
}

// leave takes a waiter out of the queue, and keeps the key that it had been given
// meanwhile. It needs mu.
func (p *Pool) leave(s *shelf, w *waiter) {
	for i, other := range s.queue {
		if other == w {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return
		}
	}
	select {
	case got := <-w.got:
		if got.err == nil {
			p.keep(s, got.key)
		}
	default:
	}
}

// keep puts a key on its shelf where there is a place: also one more than is wanted, so
// that requests which are refused one after the other cost no more. It needs mu.
func (p *Pool) keep(s *shelf, key pki.PrivateKey) {
	if p.closed || len(s.keys) >= s.most {
		key.Clear()
		return
	}
	s.keys = append(s.keys, key)
}

// Return takes a key back that nobody has seen and nothing was signed for but its own
// request, which was refused.
func (p *Pool) Return(k *Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.shelves[k.public.Kind()]; s != nil {
		p.keep(s, k.private)
		return
	}
	k.private.Clear()
}

// makeAll makes keys until the pool is closed. Which one is decided when there is a core to
// make it on: by then somebody may wait for another.
func (p *Pool) makeAll() {
	for p.needed() {
		var s *shelf
		var key pki.PrivateKey
		err := p.cfg.Do(p.urgent, func() (err error) {
			if s = p.next(); s != nil {
				key, err = p.generate(s.kind)
			}
			return err
		})
		if s != nil { // no other maker was faster
			p.deliver(s, key, err)
		}
	}
}

// needed waits until there is a key to make, and returns false at the end.
func (p *Pool) needed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && p.lacking() == nil {
		p.work.Wait()
	}
	return !p.closed
}

// urgent reports whether somebody waits for a key that nobody makes.
func (p *Pool) urgent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.lacking()
	return s != nil && s.short()
}

// next returns the shelf of the key that its caller is to make, which counts as being made
// from then on; nil where none is needed.
func (p *Pool) next() *shelf {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.lacking()
	if s != nil {
		s.making++
	}
	return s
}

// lacking returns the shelf of the key to make next: that of whoever has waited longest,
// then the one that lacks most, and nil where none does. It needs mu.
func (p *Pool) lacking() *shelf {
	var urgent, empty *shelf
	for _, s := range p.shelves {
		if s.short() && (urgent == nil || s.queue[s.making].turn < urgent.queue[urgent.making].turn) {
			urgent = s
		}
		if s.lacks() > 0 && (empty == nil || s.lacks() > empty.lacks()) {
			empty = s
		}
	}
	if urgent != nil {
		return urgent
	}
	return empty
}

// short reports whether more wait for a key than are made.
func (s *shelf) short() bool { return len(s.queue) > s.making }

// lacks returns how many keys are to be made that nobody waits for.
func (s *shelf) lacks() int { return s.wanted + len(s.queue) - len(s.keys) - s.making }

// deliver hands a key to whoever has waited longest, or keeps it.
func (p *Pool) deliver(s *shelf, key pki.PrivateKey, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.making--
	switch {
	case len(s.queue) > 0:
		s.queue[0].got <- delivery{key, err}
		s.queue = s.queue[1:]
	case err != nil:
		s.wanted = 0 // until somebody asks
		p.cfg.Log.Error("a key was not made", "kind", s.kind, "error", err)
	default:
		p.keep(s, key)
	}
}

func (p *Pool) generate(kind pki.KeyKind) (pki.PrivateKey, error) {
	begun := time.Now()
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		return pki.PrivateKey{}, err
	}
	pkcs8, err := keystore.MarshalPrivateKey(key)
	if err != nil {
		return pki.PrivateKey{}, err
	}
	p.made.Observe(time.Since(begun).Seconds())
	return pki.NewPrivateKey(pkcs8), nil
}

// giveUp overwrites the keys of kinds that nobody has asked for since a moment.
func (p *Pool) giveUp(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.shelves {
		if s.last.Before(since) {
			s.clear()
		}
	}
}

func (s *shelf) clear() {
	for _, key := range s.keys {
		key.Clear()
	}
	s.keys, s.wanted = nil, 0
}

func (p *Pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.shelves {
		s.clear()
		for _, w := range s.queue {
			w.got <- delivery{err: errClosed()}
		}
		s.queue = nil
	}
	p.work.Broadcast()
}

func errClosed() error {
	return &pki.Error{Kind: pki.Unavailable, Detail: "the server is stopping and makes no keys any more", RetryAfter: 5 * time.Second}
}
