package enrolauth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Places bound what proofs that take long may wait at once, in all, of one source and of
// the endpoints of one family of tenants: nobody keeps the others waiting.
type places struct {
	all, ofSource, ofFamily int

	mu       sync.Mutex
	taken    int // guarded by mu, as are the others
	byFamily map[pki.TenantID]int
	bySource map[netip.Addr]int
}

func newPlaces(all, ofSource, ofFamily int) *places {
	return &places{all: all, ofSource: ofSource, ofFamily: ofFamily, byFamily: make(map[pki.TenantID]int), bySource: make(map[netip.Addr]int)}
}

// enter takes a place. The zero Addr has any number. Neither error counts as a failure of its
// source (limit.Admit): nothing was looked at.
func (p *places) enter(from netip.Addr, family pki.TenantID) (leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case from.IsValid() && p.bySource[from] >= p.ofSource:
		return nil, &pki.Error{Kind: pki.RateLimited, Detail: "too many secrets from your address are being checked at once; send the request again", RetryAfter: time.Second}
	case p.byFamily[family] >= p.ofFamily:
		return nil, &pki.Error{Kind: pki.RateLimited, Detail: "too many secrets of this organisation are being checked at once; send the request again", RetryAfter: time.Second}
	case p.taken >= p.all:
		return nil, &pki.Error{Kind: pki.Unavailable, Detail: "too many secrets are being checked at once; send the request again", RetryAfter: time.Second}
	}
	p.taken++
	p.byFamily[family]++
	p.bySource[from]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken--
		if p.byFamily[family]--; p.byFamily[family] == 0 {
			delete(p.byFamily, family)
		}
		if p.bySource[from]--; p.bySource[from] == 0 {
			delete(p.bySource, from)
		}
	}, nil
}
