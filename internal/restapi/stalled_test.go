package restapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pandotest"
)

// The listener's own bounds on a whole request, and on the answer to it.
const (
	listenerReads  = 30 * time.Second
	listenerWrites = time.Minute
)

// inMemory serves the API to connections in memory, under the listener's own bounds,
// in a bubble of synctest.
func (s *served) inMemory(t *testing.T) *pandotest.Pipes {
	pipes := pandotest.NewPipes()
	srv := &http.Server{Handler: s.Config.Handler, ReadTimeout: listenerReads, WriteTimeout: listenerWrites}
	done := make(chan error)
	go func() { done <- srv.Serve(pipes) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return pipes
}

// overTLS is inMemory over TLS, and returns a client of it with a token.
func (s *served) overTLS(t *testing.T, token string, http2 bool) *client.Client {
	pipes := pandotest.NewPipes()
	srv := httptest.NewUnstartedServer(s.Config.Handler)
	srv.Listener.Close()
	srv.Listener, srv.EnableHTTP2 = pipes, http2
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = listenerReads, listenerWrites
	srv.StartTLS()
	t.Cleanup(srv.Close)
	over := srv.Client().Transport.(*http.Transport)
	over.DialContext = func(context.Context, string, string) (net.Conn, error) { return pipes.Dial(t), nil }
	c, err := client.New(client.Config{Server: "https://example.com", Token: client.TokenOf(token), HTTPClient: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// begin sends a request that promises a body of 100 bytes, and none of it.
func begin(t *testing.T, p *pandotest.Pipes, token, method, path, media string) net.Conn {
	t.Helper()
	c := p.Dial(t)
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n", method, path, token, media); err != nil {
		t.Fatal(err)
	}
	return c
}

func answerOf(t *testing.T, c net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// TestStalledBodies: whoever promises bodies and does not send them takes their
// tenant's share of the places, for seconds; other tenants and the operator go on,
// also where tenants have filled all that tenants may.
func TestStalledBodies(t *testing.T) {
	for what, request := range map[string]struct {
		method, path, media string
		patience            time.Duration
		ends                int
		other               string // another of its kind, without a body
		operator            int    // what an operator gets for it
	}{
		"requests": {"POST", "/api/v1/tokens", "application/json", 5 * time.Second, http.StatusRequestTimeout, "/api/v1/whoami", http.StatusOK},
		"streams":  {"POST", "/api/v1/batches?endpoint=x", mediaNDJSON, time.Minute, http.StatusBadRequest, "/api/v1/batches/b1/results", http.StatusForbidden},
	} {
		t.Run(what, func(t *testing.T) {
			s := serveWith(t, limit.New(limit.Config{Requests: 8, Streams: 8, Now: time.Now}))
			s.tokens["b"] = access.Principal{Tenant: "b", ID: "token:b", Grants: access.Given(access.TenantAdministrator)}
			s.tokens["c"] = access.Principal{Tenant: "c", ID: "token:c", Grants: access.Given(access.TenantAdministrator)}
			s.tokens["d"] = access.Principal{Tenant: "d", ID: "token:d", Grants: access.Given(access.TenantAdministrator)}
			s.results = threeRows(nil)
			s.submitted = func(_ batch.Submission, body io.Reader) (*batch.Batch, error) {
				_, err := io.Copy(io.Discard, body)
				return new(batch.Batch), err
			}
			synctest.Test(t, func(t *testing.T) {
				p := s.inMemory(t)
				stall := func(token string) net.Conn {
					c := begin(t, p, token, request.method, request.path, request.media)
					synctest.Wait()
					return c
				}
				ask := func(token string) int {
					c := p.Dial(t)
					fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", request.other, token)
					return answerOf(t, c)
				}
				first := stall("admin")
				stall("admin")
				if got := ask("admin"); got != http.StatusTooManyRequests {
					t.Errorf("a third of one tenant: %d", got)
				}
				for _, token := range []string{"b", "b", "c", "c"} {
					stall(token)
				}
				if got := ask("d"); got != http.StatusServiceUnavailable {
					t.Errorf("one more when tenants have all that they may: %d", got)
				}
				if got := ask("operator"); got != request.operator {
					t.Errorf("the operator: %d", got)
				}
				time.Sleep(request.patience)
				synctest.Wait()
				if got := answerOf(t, first); got != request.ends {
					t.Errorf("a body that does not come: %d", got)
				}
				if got := ask("admin"); got != http.StatusOK {
					t.Errorf("after a stalled body: %d", got)
				}
			})
		})
	}
}
