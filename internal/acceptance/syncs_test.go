//go:build system

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/client"
)

// TestSyncs counts what a burst of single requests costs in syncs of the disk: one
// for the intent and one for the record of each would be 128; groups share them.
func TestSyncs(t *testing.T) {
	const burst = 64
	h := newHouse(t, 2)
	traced := filepath.Join(t.TempDir(), "strace")
	// -D: the server is our child, and strace its tracer elsewhere.
	h.serve(t, "strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range", "-o", traced)

	clients, requests := make([]*client.Client, burst), make([]client.Enrollment, burst)
	for i := range clients {
		clients[i] = h.connection(t)
		csr, err := request(fmt.Sprintf("burst-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		requests[i] = client.Enrollment{Endpoint: "device", CSR: csr}
	}
	at := func(act func(ctx context.Context, i int) error) {
		t.Helper()
		g, ctx := errgroup.WithContext(t.Context())
		for i := range clients {
			g.Go(func() error { return act(ctx, i) })
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	at(func(ctx context.Context, i int) error { // opens the connections
		_, err := clients[i].WhoAmI(ctx)
		return err
	})
	before := syncs(t, traced)
	if before == 0 {
		t.Fatal("strace saw no sync while the server started")
	}
	at(func(ctx context.Context, i int) error {
		_, err := clients[i].Enroll(ctx, requests[i], fmt.Sprintf("burst-%d", i))
		return err
	})
	count := syncs(t, traced) - before
	t.Logf("%d certificates for %d requests at once cost %d syncs", burst, burst, count)
	if count >= burst {
		t.Errorf("%d syncs, want fewer than %d", count, burst)
	}
	if count == 0 {
		t.Error("no sync at all: certificates are released that are not on the disk")
	}
	h.stop(t)
	h.check(t, "")
}

// syncs counts the calls that strace has written down as begun.
func syncs(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "sync(")
}
