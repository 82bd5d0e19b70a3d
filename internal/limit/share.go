package limit

import (
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// shares bounds how many places each of those who come takes at once, and all of
// them together. It remembers who has a place, and nobody else.
type shares[K comparable] struct {
	each int // 0 is without bound
	all  int // 0 is without bound

	mu    sync.Mutex
	taken map[K]int // guarded by mu, as is sum
	sum   int
}

func newShares[K comparable](each, all int) *shares[K] {
	return &shares[K]{each: each, all: all, taken: make(map[K]int)}
}

// enter takes a place, or says whether it is for all that there is none (full), and
// not for this one alone.
func (s *shares[K]) enter(who K) (leave func(), ok, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.each > 0 && s.taken[who] >= s.each:
		return nil, false, false
	case s.all > 0 && s.sum >= s.all:
		return nil, false, true
	}
	s.taken[who]++
	s.sum++
	return sync.OnceFunc(func() { s.leave(who) }), true, false
}

func (s *shares[K]) leave(who K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum--
	if s.taken[who]--; s.taken[who] == 0 {
		delete(s.taken, who)
	}
}

// part returns one part in n of a number of places, one at least; of an unbounded
// number it is unbounded.
func part(places, n int) int {
	if places == 0 {
		return 0
	}
	return max(places/n, 1)
}

// One tenant has one place in tenantShare, and so has the platform: four tenants that
// fill theirs still leave an operator able to act. One source has one answer in
// sourceShare.
const (
	tenantShare = 4
	sourceShare = 16
)

// tenantShares are the places of the tenants, and those of the platform.
type tenantShares struct {
	tenants  *shares[pki.TenantID]
	platform place
}

func newTenantShares(places int) *tenantShares {
	share := part(places, tenantShare)
	all := 0
	if places > 0 {
		all = max(places-share, 1)
	}
	return &tenantShares{tenants: newShares[pki.TenantID](share, all), platform: place{size: int64(share)}}
}

func (t *tenantShares) enter(tenant pki.TenantID) (func(), error) {
	if tenant == pki.Platform {
		return t.platform.enter()
	}
	leave, ok, full := t.tenants.enter(tenant)
	switch {
	case full:
		return nil, noPlace()
	case !ok:
		return nil, &pki.Error{Kind: pki.RateLimited, Detail: "your organisation has as many requests under way at once as it may; end some, or send the request again", RetryAfter: time.Second}
	}
	return leave, nil
}
