package limit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxSources bounds the sources that are remembered, to some 2 MB. One that is
// forgotten has its whole burst again: an attacker with so many addresses is not
// one that a limit for each holds.
const maxSources = 16384

func source(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid() || addr.IsLoopback():
		return netip.Addr{}
	case addr.Is6():
		network, err := addr.Prefix(64)
		if err != nil {
			return netip.Addr{}
		}
		return network.Masked().Addr()
	}
	return addr
}

// SourceOf returns what counts as one source of an address with a port, as net/http
// has it: an IPv4 address, or the /64 network of an IPv6 address, within which a
// machine has as many as it likes. Addresses of this machine are the zero Addr, which
// has no limit: a proxy in front of pando, or a tool of its operator.
func SourceOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return source(at.Addr())
}

// sources has a bucket for each recently seen source: when the young half is full
// it becomes the old half, and the old half is forgotten.
type sources struct {
	rate Rate

	mu         sync.Mutex
	young, old map[netip.Addr]*rate.Limiter // guarded by mu
}

func newSources(r Rate) *sources {
	return &sources{rate: r, young: make(map[netip.Addr]*rate.Limiter)}
}

func (s *sources) take(from netip.Addr, now time.Time, detail string) error {
	if s.rate.PerSecond == 0 || !from.IsValid() {
		return nil
	}
	return take(s.bucket(from), now, detail)
}

func (s *sources) bucket(from netip.Addr) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.young[from]; b != nil {
		return b
	}
	b := s.old[from]
	if b == nil {
		b = newBucket(s.rate)
	}
	if len(s.young) >= maxSources/2 {
		s.old, s.young = s.young, make(map[netip.Addr]*rate.Limiter)
	}
	s.young[from] = b
	return b
}
