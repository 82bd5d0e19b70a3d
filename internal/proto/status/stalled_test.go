package status_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/proto/status"
	"github.com/pando-pki/pando/internal/revocation"
)

// longCRL is a Validator with one CRL of a megabyte.
type longCRL struct{ status.Validator }

func (longCRL) CRL(context.Context, revocation.List) (*revocation.CRL, error) {
	return &revocation.CRL{DER: make([]byte, 1<<20), NextUpdate: time.Now().Add(time.Hour)}, nil
}

// TestStalledClients: a client that takes nothing of a CRL, or does not send what it
// promised, has no place for long; one that is slow and steady gets the whole CRL, though
// it takes longer than the listener gives an answer.
func TestStalledClients(t *testing.T) {
	get := "GET /crl/issuer/0.crl HTTP/1.1\r\nHost: x\r\n\r\n"
	for what, test := range map[string]struct {
		request string
		has     time.Duration // how long it has its place
	}{
		"takes nothing": {get, 15 * time.Second},
		"sends nothing": {"POST /ocsp/issuer HTTP/1.1\r\nHost: x\r\nContent-Type: application/ocsp-request\r\nContent-Length: 100\r\n\r\n", 5 * time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ask := onlyPlace(t)
				ask(test.request)
				synctest.Wait()
				time.Sleep(test.has - time.Second)
				if got := answerOf(t, ask(get)).StatusCode; got != http.StatusServiceUnavailable {
					t.Errorf("while its place is taken: %d", got)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := answerOf(t, ask(get)).StatusCode; got != http.StatusOK {
					t.Errorf("afterwards: %d", got)
				}
			})
		})
	}
	t.Run("takes it slowly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			body, n := answerOf(t, onlyPlace(t)(get)).Body, int64(0)
			for {
				part, err := io.CopyN(io.Discard, body, 4<<10)
				n += part
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("after %v and %d bytes: %v", time.Since(begun), n, err)
				}
				time.Sleep(2 * time.Second)
			}
			if n != 1<<20 || time.Since(begun) < 2*time.Minute {
				t.Errorf("%d bytes in %v", n, time.Since(begun))
			}
		})
	})
}

// onlyPlace serves status with one place, under the listener's own bounds, and returns
// what sends a request on a connection of its own.
func onlyPlace(t *testing.T) (ask func(request string) net.Conn) {
	s := status.New(status.Config{Limiter: limit.New(limit.Config{Answers: 1, Now: time.Now}), Validator: longCRL{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	pipes := pandotest.NewPipes()
	srv := &http.Server{Handler: s.Handler(http.NotFoundHandler()), ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}
	done := make(chan error)
	go func() { done <- srv.Serve(pipes) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return func(request string) net.Conn {
		c := pipes.Dial(t)
		if _, err := fmt.Fprint(c, request); err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func answerOf(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
