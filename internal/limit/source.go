package limit

import (
	"net/netip"
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

// sources has a bucket for each recently seen source.
type sources struct {
	rate Rate
	seen *recent[netip.Addr, *rate.Limiter]
}

func newSources(r Rate) *sources {
	return &sources{r, newRecent[netip.Addr, *rate.Limiter](maxSources)}
}

func (s *sources) take(from netip.Addr, now time.Time, detail string) error {
	if s.rate.PerSecond == 0 || !from.IsValid() {
		return nil
	}
	return take(s.seen.get(from, func() *rate.Limiter { return newBucket(s.rate) }), now, detail)
}

// spent reports whether a source has nothing left to take.
func (s *sources) spent(from netip.Addr, now time.Time) bool {
	bucket, ok := s.seen.look(from)
	return ok && bucket.TokensAt(now) < 1
}
