//go:build system

package acceptance

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestSlowClients holds thousands of connections that ask for nothing, half of them at
// the listener of the good client, and hundreds that send a byte now and then, each from another place in a request, against
// each listener, while one good client enrols. It must hardly notice, and the slow ones must be cut off.
func TestSlowClients(t *testing.T) {
	const idle, slow, asked = 5000, 300, 400
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	good := h.connection(t)
	n := 0
	p99 := func() time.Duration {
		t.Helper()
		var times []time.Duration
		for range asked {
			n++
			begun := time.Now()
			if _, err := enrolOnce(t.Context(), good, fmt.Sprintf("good-%d", n)); err != nil {
				t.Fatal(err)
			}
			times = append(times, time.Since(begun))
		}
		slices.Sort(times)
		return times[len(times)*99/100]
	}
	p99() // warm
	// Another process may disturb a round; then it is made again.
	for round := 1; ; round++ {
		before := p99()
		end := h.besiege(t, random, idle, slow)
		during := p99()
		cut := end()
		t.Logf("p99 of the good client: %v alone, %v beside %d idle and %d slow connections; %d of the slow ones were cut off", before, during, idle, slow, cut)
		if cut < slow {
			t.Errorf("%d of %d slow connections were cut off", cut, slow)
		}
		if during <= 2*before {
			break
		}
		if round == 3 {
			t.Errorf("p99 is %.1f times what it is alone, want at most twice", float64(during)/float64(before))
			break
		}
	}
	h.stop(t)
	h.check(t, "")
}

// beginning is what a slow client may have sent before it became slow.
const beginning = "POST /api/v1/enrollments HTTP/1.1\r\nHost: pando\r\nX-Slow: "

// besiege opens idle connections and slow ones. end closes them and returns how
// many of the slow ones the server had cut off; it waits until it must have.
func (h *house) besiege(t *testing.T, random *rand.Rand, idle, slow int) (end func() int) {
	t.Helper()
	trusted := &tls.Config{RootCAs: certPool(t, h.file.TLSCA)}
	var mu sync.Mutex
	var open, slowly []net.Conn
	var g errgroup.Group
	g.SetLimit(64)
	for i := range idle {
		g.Go(func() error { // one request, as a client that keeps its connection
			url, secure := h.file.API, trusted // where the good client is, too
			if i%2 == 1 {
				url, secure = h.file.HTTP, nil
			}
			c, err := dialFrom(i, url, secure)
			if err != nil {
				return err
			}
			fmt.Fprintf(c, "GET /nothing HTTP/1.1\r\nHost: pando\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			mu.Lock()
			defer mu.Unlock()
			open = append(open, c)
			return err
		})
	}
	for i := range slow {
		g.Go(func() error {
			url := []string{h.file.API, h.file.Devices, h.file.HTTP}[i%3]
			secure := trusted
			if i%3 == 2 {
				secure = nil
			}
			c, err := dialFrom(i, url, secure)
			mu.Lock()
			defer mu.Unlock()
			slowly = append(slowly, c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	var cut errgroup.Group
	ended := make(chan struct{}, slow)
	for _, c := range slowly {
		begun := beginning[:random.IntN(len(beginning)+1)]
		pause := time.Second/2 + time.Duration(random.Int64N(int64(time.Second)))
		cut.Go(func() error {
			defer c.Close()
			go func() { // a header that never ends
				_, err := io.WriteString(c, begun)
				for ; err == nil; time.Sleep(pause) {
					_, err = io.WriteString(c, "G")
				}
			}()
			c.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.Copy(io.Discard, c); err == nil || !isTimeout(err) {
				ended <- struct{}{}
			}
			return nil
		})
	}
	return func() int {
		_ = cut.Wait() // its functions return no error
		for _, c := range open {
			c.Close()
		}
		return len(ended)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// dialFrom opens a connection to the host of a URL from one of many addresses of
// this machine; secure is nil for one without TLS.
func dialFrom(i int, url string, secure *tls.Config) (net.Conn, error) {
	target, err := hostOf(url)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: hung, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%200))}}
	if secure == nil {
		return d.Dial("tcp", target)
	}
	return tls.DialWithDialer(&d, "tcp", target, secure)
}
