package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// TestBoundedConnections: one connection too many is closed, before TLS, and a place
// that is given back is taken again.
func TestBoundedConnections(t *testing.T) {
	cfg := newConfig(t)
	cfg.Limits.Connections = 2
	s := open(t, cfg, time.Now)
	run(t, s)
	address := strings.TrimPrefix(s.URL("https"), "https://")
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first := tls.Client(dial(), &tls.Config{RootCAs: bootstrapOf(t, s), ServerName: "localhost"})
	if err := first.Handshake(); err != nil {
		t.Fatal(err)
	}
	tls.Client(dial(), &tls.Config{RootCAs: bootstrapOf(t, s), ServerName: "localhost"}).Handshake()
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a third connection: %v", err)
	}
	first.Close()
	for {
		again := tls.Client(dial(), &tls.Config{RootCAs: bootstrapOf(t, s), ServerName: "localhost"})
		if again.Handshake() == nil {
			break // the server has seen that the first is closed
		}
	}
}

// TestBoundedBySource: one source does not take the places of the others, and this
// machine's own connections count in the whole alone.
func TestBoundedBySource(t *testing.T) {
	b := newBounded(nil, Limits{Connections: 5, ConnectionsPerSource: 2})
	a, other, own := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.Addr{}
	for i, step := range []struct {
		from netip.Addr
		want bool
	}{{a, true}, {a, true}, {a, false}, {other, true}, {own, true}, {own, true}, {own, false}, {other, false}} {
		if got := b.enter(step.from); got != step.want {
			t.Errorf("step %d: %t", i, got)
		}
	}
	b.leave(a)
	if !b.enter(a) {
		t.Error("a place that was given back cannot be taken")
	}
	b.leave(a)
	b.leave(a)
	b.leave(other)
	if len(b.by) != 0 {
		t.Errorf("sources without connections are remembered: %v", b.by)
	}
}

// TestNoHandshakeWhenFull: who comes while the API has no place left is sent away
// before the costly part of a handshake.
func TestNoHandshakeWhenFull(t *testing.T) {
	cfg := newConfig(t)
	cfg.Limits.Requests = 1
	s := open(t, cfg, time.Now)
	run(t, s)
	leave, err := s.limits.Request(false)
	if err != nil {
		t.Fatal(err)
	}
	dial := func() error {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL("https"), "https://"), &tls.Config{RootCAs: bootstrapOf(t, s)})
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(); err == nil {
		t.Error("a handshake while the API is full")
	}
	leave()
	if err := dial(); err != nil {
		t.Error(err)
	}
}

// TestTenantLimitRead: what the platform operator sets for a tenant is what holds.
func TestTenantLimitRead(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	operator := access.Principal{Tenant: pki.Platform, ID: "token:1", Grants: access.Given(access.PlatformOperator)}
	g, err := operator.Authorize(access.ManageTenants, pki.Platform)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.hierarchy.CreateTenant(t.Context(), g, hierarchy.NewTenant{ID: "acme", Organization: "Acme"}); err != nil {
		t.Fatal(err)
	}
	if g, err = operator.Authorize(access.ManageTenants, "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hierarchy.SetTenant(t.Context(), g, pki.TenantSettings{PerSecond: 1, Burst: 1}); err != nil {
		t.Fatal(err)
	}
	run(t, s)
	twice := func() bool { // at once, which is once more than the tenant may
		first := s.limits.Tenant("acme")
		return first == nil && s.limits.Tenant("acme") == nil
	}
	for begun := time.Now(); twice(); time.Sleep(5 * time.Millisecond) { // until the worker's first look
		if time.Since(begun) > time.Minute {
			t.Fatal("the tenant's own limit does not hold")
		}
	}
}
