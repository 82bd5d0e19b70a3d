package pandotest

import (
	"net"
	"sync"
	"testing"
)

// Pipes is a listener whose connections are in memory, so that a test under
// testing/synctest can let clients be slow without waiting for them.
type Pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

// NewPipes returns Pipes.
func NewPipes() *Pipes {
	p := &Pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

// Dial connects to whoever accepts. The connection is closed at the test's end.
func (p *Pipes) Dial(t testing.TB) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	select {
	case p.conns <- server:
	case <-p.closed:
		t.Fatal("nobody listens")
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// Accept returns the server's end of the next connection.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (p *Pipes) Close() error { p.close(); return nil }

// Addr names no place.
func (p *Pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
