package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/metrics"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
)

// limitsEvery is how often the tenants' own limits are read: one that was set on
// another node holds here after that time.
const limitsEvery = 5 * time.Second

func newLimits(l Limits, family pki.FamilyOf, now pki.Clock) *limit.Limits {
	return limit.New(limit.Config{
		Tenant: limit.Rate(l.Tenant), Device: limit.Rate(l.Device), Failures: limit.Rate(l.Failures), Status: limit.Rate(l.Status),
		Requests: l.Requests, Streams: l.Streams, Answers: l.Answers, Messages: l.Messages, Family: family, Now: now,
	})
}

// readLimits keeps the tenants' own limits as the store has them, until ctx ends.
func (s *Server) readLimits(ctx context.Context) error {
	tick := time.NewTicker(limitsEvery)
	defer tick.Stop()
	for {
		tenants, err := s.store.Tenants(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "limits of the tenants", "error", err)
		}
		if err == nil {
			own := make(map[pki.TenantID]limit.Rate)
			for _, t := range tenants {
				if t.PerSecond > 0 {
					own[t.ID] = limit.Rate{PerSecond: t.PerSecond, Burst: t.Burst}
				}
			}
			s.limits.SetTenants(own)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// handshake refuses a connection that has said hello while the API has no place for
// its request: the rest of a handshake costs more than a request.
func (s *Server) handshake(*tls.ClientHelloInfo) (*tls.Config, error) {
	if s.limits.Full() {
		return nil, pki.Errorf(pki.Unavailable, "as many requests under way as can be")
	}
	return nil, nil
}

// A bounded listener closes connections over its bounds as soon as they are there.
type bounded struct {
	net.Listener
	all, each int
	refused   stat.Counter

	mu   sync.Mutex
	open int                // guarded by mu, as is by
	by   map[netip.Addr]int // by source; not those of this machine
}

func newBounded(socket net.Listener, l Limits) *bounded {
	return &bounded{Listener: socket, all: l.Connections, each: l.ConnectionsPerSource, by: make(map[netip.Addr]int)}
}

// Accept returns the next connection within the bounds.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := limit.SourceOf(conn.RemoteAddr().String())
		if b.enter(from) {
			return &boundConn{Conn: conn, leave: sync.OnceFunc(func() { b.leave(from) })}, nil
		}
		b.refused.Add(1)
		conn.Close()
	}
}

// stats returns how many connections are open, and how many were refused.
func (b *bounded) stats() metrics.Connections {
	b.mu.Lock()
	defer b.mu.Unlock()
	return metrics.Connections{Open: b.open, Most: b.all, Refused: b.refused.Value()}
}

func (b *bounded) enter(from netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open >= b.all || from.IsValid() && b.by[from] >= b.each {
		return false
	}
	b.open++
	if from.IsValid() {
		b.by[from]++
	}
	return true
}

func (b *bounded) leave(from netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	if b.by[from]--; b.by[from] <= 0 {
		delete(b.by, from)
	}
}

// A boundConn gives its place back when it is closed.
type boundConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *boundConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
