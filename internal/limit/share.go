package limit

import (
	"net/netip"
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

// ofSources are places of which one source has a share; addresses of this machine have
// what there is.
type ofSources struct {
	all place
	of  *shares[netip.Addr]
}

func newOfSources(places int) ofSources {
	return ofSources{place{size: int64(places)}, newShares[netip.Addr](part(places, sourceShare), 0)}
}

func (o *ofSources) enter(from netip.Addr, what string) (leave func(), err error) {
	if !from.IsValid() {
		return o.all.enter()
	}
	own, ok, _ := o.of.enter(from)
	if !ok {
		return nil, &pki.Error{Kind: pki.RateLimited, Detail: "too many " + what + " from your address are under way at once", RetryAfter: time.Second}
	}
	place, err := o.all.enter()
	if err != nil {
		own()
		return nil, err
	}
	return func() { place(); own() }, nil
}

// part returns one part in n of a number of places, one at least; of an unbounded
// number it is unbounded.
func part(places, n int) int {
	if places == 0 {
		return 0
	}
	return max(places/n, 1)
}

// rest returns what one part in n leaves of a number of places, one at least; of an
// unbounded number it is unbounded.
func rest(places, n int) int {
	if places == 0 {
		return 0
	}
	return max(places-part(places, n), 1)
}

// One family has one place in tenantShare, and so has the platform: four families that
// fill theirs still leave an operator able to act. One source has one answer in
// sourceShare.
const (
	tenantShare = 4
	sourceShare = 16
)

// tenantShares are the places of families, within these of children, and those of the
// platform.
type tenantShares struct {
	family   pki.FamilyOf
	families *shares[pki.TenantID]
	kids     *shares[pki.TenantID] // all children of a family
	child    *shares[pki.TenantID]
	platform place
}

func newTenantShares(places int, family pki.FamilyOf) *tenantShares {
	share := part(places, tenantShare)
	return &tenantShares{
		family: family, families: newShares[pki.TenantID](share, rest(places, tenantShare)),
		kids: newShares[pki.TenantID](rest(share, familyShare), 0), child: newShares[pki.TenantID](part(share, familyShare), 0),
		platform: place{size: int64(share)},
	}
}

func (t *tenantShares) enter(tenant pki.TenantID) (func(), error) {
	family := t.family.Of(tenant)
	switch tenant {
	case pki.Platform:
		return t.platform.enter()
	case family:
		return t.enterFamily(family)
	}
	child, ok, _ := t.child.enter(tenant)
	if !ok {
		return nil, tooMany("your organisation has")
	}
	kids, ok, _ := t.kids.enter(family)
	if !ok {
		child()
		return nil, tooMany("your organisation and the others under the same parent have")
	}
	whole, err := t.enterFamily(family)
	if err != nil {
		child()
		kids()
		return nil, err
	}
	return func() { whole(); kids(); child() }, nil
}

// enterFamily takes a place from what the family has.
func (t *tenantShares) enterFamily(family pki.TenantID) (func(), error) {
	leave, ok, full := t.families.enter(family)
	switch {
	case full:
		return nil, noPlace()
	case !ok:
		return nil, tooMany("your organisation, with its parent and children, has")
	}
	return leave, nil
}

func tooMany(who string) error {
	return &pki.Error{Kind: pki.RateLimited, Detail: who + " as many requests under way at once as there may be; end some, or send the request again", RetryAfter: time.Second}
}
