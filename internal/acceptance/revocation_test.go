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
		if time.Since(from) > patience {
			t.Fatalf("the CRLs have %d superseded certificates after %s, want %d", h.superseded(t), patience, meters)
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

// TestKillOverlappingRevocation kills the server at random moments while two jobs at once
// are about certificates of which both have a part: one by lot, the other by product line.
// Each comes to its end, each certificate is changed as often as it can be, and what the
// jobs have counted fits.
func TestKillOverlappingRevocation(t *testing.T) {
	each := 5_000
	if testing.Short() {
		each = 1_500
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	cl, ctx := h.as(t, ""), t.Context()
	if _, err := cl.CreateLot(ctx, client.NewLot{Name: "both"}); err != nil { // of no product line
		t.Fatal(err)
	}
	// Of the lot are the first and the second part, of line-x the first and the third.
	for i, s := range []client.Submission{{Lot: "both", ProductLine: "line-x"}, {Lot: "both", ProductLine: "line-y"}, {Lot: "other", ProductLine: "line-x"}} {
		var requests strings.Builder
		if err := simulate.WriteCSRs(ctx, &requests, simulate.CSRs{Devices: simulate.Devices{Prefix: fmt.Sprintf("OVER%d-", i), First: 1, Count: each}, Format: client.PEM}); err != nil {
			t.Fatal(err)
		}
		s.Endpoint, s.Format = "meter", client.PEM
		b, err := cl.Submit(ctx, s, strings.NewReader(requests.String()))
		if err != nil {
			t.Fatal(err)
		}
		for b, err = range cl.Watch(ctx, b.ID) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if b.State != client.Done || b.Issued != int64(each) {
			t.Fatalf("the batch is %s with %d of %d certificates", b.State, b.Issued, each)
		}
	}
	n := int64(each)
	lot, lineX, lineY := client.RevocationSelection{Lot: "both"}, client.RevocationSelection{ProductLine: "line-x"}, client.RevocationSelection{ProductLine: "line-y"}
	hold := client.NewRevocationJob{Reason: "certificateHold"}
	kills, within := 0, 0
	for i, act := range []struct {
		a, b   client.NewRevocationJob
		of     [2]client.RevocationSelection
		totals [2]int64
		fits   func(a, b client.RevocationCounts) bool
	}{
		// What one has held the other finds held, and leaves.
		{hold, hold, [2]client.RevocationSelection{lot, lineX}, [2]int64{2 * n, 2 * n}, func(a, b client.RevocationCounts) bool {
			return a.Good == a.Changed && b.Good == b.Changed && a.Changed+b.Changed == 3*n && a.Held+b.Held == n
		}},
		// What is released is then revoked, what is revoked is not released.
		{client.NewRevocationJob{Release: true}, client.NewRevocationJob{Reason: "superseded"}, [2]client.RevocationSelection{lot, lineX}, [2]int64{2 * n, 2 * n}, func(a, b client.RevocationCounts) bool {
			return a.Good == 0 && a.Held == a.Changed && a.Held+a.Revoked == 2*n && b.Changed == 2*n && b.Good == a.Changed-n
		}},
		// Each is revoked once, by the one or by the other.
		{client.NewRevocationJob{Reason: "superseded"}, client.NewRevocationJob{Reason: "superseded"}, [2]client.RevocationSelection{lot, lineY}, [2]int64{2 * n, n}, func(a, b client.RevocationCounts) bool {
			return a.Changed+b.Changed == n && a.Good == a.Changed && b.Good == b.Changed && a.Revoked+b.Revoked == 2*n
		}},
	} {
		act.a.RevocationSelection, act.b.RevocationSelection = act.of[0], act.of[1]
		jobs := [2]*client.RevocationJob{}
		for {
			done := true
			for k, request := range []client.NewRevocationJob{act.a, act.b} {
				err := insist(ctx, func() (err error) {
					jobs[k], err = cl.StartRevocation(ctx, request, fmt.Sprint("act ", i, " job ", k))
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				done = done && jobs[k].State == client.Done
			}
			if done {
				break
			}
			time.Sleep(time.Duration(random.Int64N(int64(150 * time.Millisecond))))
			h.server.kill(t)
			kills++
			seen := func(j *client.RevocationJob) bool {
				at := j.Good + j.Held + j.Revoked
				return at > 0 && at < j.Total
			}
			if seen(jobs[0]) && seen(jobs[1]) {
				within++
			}
			h.serve(t)
		}
		a, b := jobs[0], jobs[1]
		if a.Total != act.totals[0] || b.Total != act.totals[1] || a.Good+a.Held+a.Revoked != a.Total || b.Good+b.Held+b.Revoked != b.Total || !act.fits(a.RevocationCounts, b.RevocationCounts) {
			t.Errorf("act %d: %+v of %d, and %+v of %d", i, a.RevocationCounts, a.Total, b.RevocationCounts, b.Total)
		}
	}
	t.Logf("%d kills, of which at least %d in the middle of both jobs", kills, within)
	for from := time.Now(); h.superseded(t) != 3*each; time.Sleep(pause) {
		if time.Since(from) > patience {
			t.Fatalf("the CRLs have %d superseded certificates, want %d", h.superseded(t), 3*each)
		}
	}
	h.stop(t)
	if after := h.check(t, ""); after.CRLEntries != 3*n+1 || after.ShardsDue != 0 { // the story revokes one
		t.Errorf("the store's CRLs have %d entries, and %d are due; want %d and none", after.CRLEntries, after.ShardsDue, 3*n+1)
	}
}
