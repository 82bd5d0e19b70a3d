package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// clients is how many ask at once, each on a connection of its own.
const clients = 32

// A load is requests, written beforehand, that clients send one after the other
// over connections that they keep. The clients do as little as they can: they share
// the cores with the server.
type load struct {
	clients int
	dial    func(context.Context) (net.Conn, error)
	status  int // of every answer; another ends the load

	// requests hands out the next request, to one client at a time; it ends the
	// load by an end of the sequence.
	requests iter.Seq[[]byte]
	answered func(body []byte) // sees each answer, from many clients at once; nil is nobody
}

// A result is what a load came to.
type result struct {
	pace
	requests int
	took     time.Duration
	latency  []time.Duration // of each request, sorted
}

// percentile returns the latency that a share of the requests stayed below.
func (r *result) percentile(share float64) time.Duration {
	if len(r.latency) == 0 {
		return 0
	}
	return r.latency[min(len(r.latency)-1, int(share*float64(len(r.latency))))]
}

// measure runs the load until its requests end or d is over, 0 is never, and finds
// the CPU that the server takes meanwhile.
func (l *load) measure(ctx context.Context, server *process, d time.Duration) (*result, error) {
	next, stop := iter.Pull(l.requests)
	defer stop()
	var turn sync.Mutex
	take := func() ([]byte, bool) {
		turn.Lock()
		defer turn.Unlock()
		return next()
	}
	conns := make([]net.Conn, l.clients)
	for i := range conns {
		var err error
		if conns[i], err = l.dial(ctx); err != nil {
			return nil, err
		}
		defer conns[i].Close()
	}
	before, err := server.cpu()
	if err != nil {
		return nil, err
	}
	latencies := make([][]time.Duration, l.clients)
	var over atomic.Bool
	if d > 0 {
		defer time.AfterFunc(d, func() { over.Store(true) }).Stop()
	}
	begun := time.Now()
	g, running := errgroup.WithContext(ctx)
	for i, conn := range conns {
		g.Go(func() (err error) {
			in := bufio.NewReaderSize(conn, 16<<10)
			var body bytes.Buffer
			for n := 0; running.Err() == nil && (n == 0 || !over.Load()); n++ {
				request, ok := take()
				if !ok {
					return nil
				}
				sent := time.Now()
				if err := l.exchange(conn, in, request, &body); err != nil {
					return err
				}
				latencies[i] = append(latencies[i], time.Since(sent))
				if l.answered != nil {
					l.answered(body.Bytes())
				}
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	r := &result{took: time.Since(begun), latency: slices.Concat(latencies...)}
	after, err := server.cpu()
	if err != nil {
		return nil, err
	}
	slices.Sort(r.latency)
	r.requests = len(r.latency)
	if r.requests == 0 {
		return nil, errors.New("there was no request to send")
	}
	r.rate = float64(r.requests) / r.took.Seconds()
	r.cpu = float64(max(after-before, tick).Microseconds()) / float64(r.requests) // less cannot be told
	return r, nil
}

// exchange sends one request and reads its answer.
func (l *load) exchange(conn net.Conn, in *bufio.Reader, request []byte, body *bytes.Buffer) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body.Reset()
	if _, err := io.Copy(body, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != l.status {
		return fmt.Errorf("the server answered %s: %.500s", answer.Status, body)
	}
	return nil
}

// message returns an HTTP request as it is sent.
func message(method, host, path string, header map[string]string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
	for name, value := range header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	if method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// repeated hands out the given requests in turn, without end.
func repeated(requests ...[]byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			for _, r := range requests {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// plain connects without TLS.
func plain(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
}

// secure connects with TLS.
func secure(address string, cfg *tls.Config) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", address)
	}
}
