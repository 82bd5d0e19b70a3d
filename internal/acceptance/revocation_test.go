//go:build system

package acceptance

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/simulate"
)

// TestKillRevocation kills the server at random moments while a lot is held,
// released, held again and revoked. Each job comes to its end, and each certificate
// is in it once: the counts are exact, the CRLs have all of them, and the store is
// sound.
func TestKillRevocation(t *testing.T) {
	meters := 20_000
	if testing.Short() {
		meters = 6_000
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	cl := h.as(t, "")
	ctx := t.Context()
	var requests strings.Builder
	if err := simulate.WriteCSRs(ctx, &requests, simulate.CSRs{Devices: simulate.Devices{Prefix: "KILLED-", First: 1, Count: meters}, Format: client.PEM}); err != nil {
		t.Fatal(err)
	}
	b, err := cl.Submit(ctx, client.Submission{Endpoint: "meter", Format: client.PEM, Lot: "killed"}, strings.NewReader(requests.String()))
	if err != nil {
		t.Fatal(err)
	}
	for b, err = range cl.Watch(ctx, b.ID) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if b.State != client.Done || b.Issued != int64(meters) {
		t.Fatalf("the batch is %s with %d of %d certificates", b.State, b.Issued, meters)
	}

	kills, within := 0, 0
	for n, act := range []struct {
		reason string // "" releases
		want   client.RevocationCounts
	}{
		{"certificateHold", client.RevocationCounts{Good: int64(meters), Changed: int64(meters)}},
		{"", client.RevocationCounts{Held: int64(meters), Changed: int64(meters)}},
		{"certificateHold", client.RevocationCounts{Good: int64(meters), Changed: int64(meters)}},
		{"superseded", client.RevocationCounts{Held: int64(meters), Changed: int64(meters)}},
	} {
		var j *client.RevocationJob
		request := client.NewRevocationJob{RevocationSelection: client.RevocationSelection{Lot: "killed"}, Reason: act.reason, Release: act.reason == ""}
		for j == nil || j.State != client.Done {
			err := insist(ctx, func() (err error) {
				// The same request again, since an answer may be lost with the server.
				j, err = cl.StartRevocation(ctx, request, fmt.Sprint("act ", n))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if j.State == client.Done {
				break
			}
			time.Sleep(time.Duration(random.Int64N(int64(150 * time.Millisecond))))
			h.server.kill(t)
			kills++
			if seen := j.Good + j.Held; seen > 0 && seen < int64(meters) {
				within++
			}
			h.serve(t)
		}
		if j.RevocationCounts != act.want || j.Total != int64(meters) {
			t.Errorf("act %d: %+v of %d, want %+v", n, j.RevocationCounts, j.Total, act.want)
		}
	}
	t.Logf("%d kills, of which at least %d in the middle of a job", kills, within)

	h.stop(t)
	h.check(t, "")
	h.serve(t)
	for from := time.Now(); h.superseded(t) != meters; time.Sleep(pause) {
		if time.Since(from) > late {
			t.Fatalf("the CRLs have %d superseded certificates after %s, want %d", h.superseded(t), late, meters)
		}
	}
	h.stop(t)
	if after := h.check(t, ""); after.CRLEntries != int64(meters)+1 || after.ShardsDue != 0 { // the story revokes one
		t.Errorf("the store's CRLs have %d entries, and %d are due; want %d and none", after.CRLEntries, after.ShardsDue, meters+1)
	}
}

// superseded returns how many certificates have that reason in the CRLs of
// Manufacturing, as relying parties fetch them.
func (h *house) superseded(t *testing.T) (n int) {
	t.Helper()
	for _, url := range h.file.Authorities["manufacturing"].CRLs {
		list, err := x509.ParseRevocationList(fetch(t, url))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.RevokedCertificateEntries {
			if pki.Reason(e.ReasonCode) == pki.Superseded {
				n++
			}
		}
	}
	return n
}
