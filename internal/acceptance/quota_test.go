//go:build system

package acceptance

import (
	"context"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestKillQuota asks for more than a quota has room for, by single requests and a
// batch at once, and kills the server again and again meanwhile: as many are issued as
// there may be, and the quota says so.
func TestKillQuota(t *testing.T) {
	kills, rows, limit := 12, 3000, int64(2500)
	if testing.Short() {
		kills, rows, limit = 5, 1000, 800
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	cl := h.as(t, "")
	set, err := cl.SetQuota(t.Context(), "profile:meter", limit)
	if err != nil || set.Counting || set.Used != 2 {
		t.Fatalf("%+v %v", set, err)
	}

	b, err := cl.Submit(t.Context(), client.Submission{Endpoint: "meter", Format: client.PEM}, pandotest.PEMRequests(t, "ROW-", rows))
	if err != nil {
		t.Fatal(err)
	}
	var issued atomic.Int64
	over, stop := context.WithCancel(t.Context())
	defer stop()
	var singles sync.WaitGroup
	for n := range 8 {
		singles.Go(func() {
			for i := 0; over.Err() == nil; i++ {
				if askFor(t, cl, fmt.Sprintf("ONE-%d-%d", n, i)) {
					issued.Add(1)
				} else {
					time.Sleep(20 * time.Millisecond) // there may be room again after a void
				}
			}
		})
	}
	for range kills {
		time.Sleep(time.Duration(random.Int64N(int64(700 * time.Millisecond))))
		h.server.kill(t)
		h.begin(t)
		h.ready(t)
	}
	for b.State != "done" {
		if err := insist(t.Context(), func() (err error) { b, err = cl.Batch(t.Context(), b.ID); return err }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	singles.Wait()
	for n := 0; askFor(t, cl, fmt.Sprint("LAST-", n)); n++ { // the room that voids left
		issued.Add(1)
	}
	if got := 2 + issued.Load() + b.Issued; got != limit {
		t.Errorf("%d certificates were issued, want %d", got, limit)
	}
	all, err := cl.Quotas(t.Context())
	if err != nil || len(all) != 1 || all[0].Used != limit {
		t.Errorf("the quota says %+v, %v", all, err)
	}
	t.Logf("%d single ones, %d of the batch, %d of its rows refused", issued.Load(), b.Issued, b.Refused)
	h.stop(t)
	h.check(t, "")
}

// askFor asks for a certificate until there is an answer, and reports whether it is
// one: else the quota has no room.
func askFor(t *testing.T, cl *client.Client, device string) bool {
	csr := base64.StdEncoding.EncodeToString(pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device}))
	err := insist(context.WithoutCancel(t.Context()), func() error {
		_, err := cl.Enroll(context.WithoutCancel(t.Context()), client.Enrollment{Endpoint: "meter", CSR: csr}, "order "+device)
		return err
	})
	p, refused := errors.AsType[*client.Problem](err)
	if refused && p.Kind == "quota-exceeded" {
		return false
	}
	if err != nil {
		t.Error(err)
	}
	return err == nil
}
