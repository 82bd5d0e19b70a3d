package statuscheck_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/statuscheck"
)

// add has issuers of another tenant, in front of the VA's, whose status an answer gives.
func (h *house) add(tenant pki.TenantID, shards int, answer http.HandlerFunc) {
	server := httptest.NewServer(answer)
	h.Cleanup(server.Close)
	other := *h.CA.Issuer
	other.ID, other.Tenant, other.StatusURL, other.Shards = pki.IssuerID("of-"+tenant), tenant, server.URL, shards
	h.others = append(h.others, &other)
}

// TestTarpit: tenants whose hosts take requests and do not answer keep nobody else's
// status from being looked at.
func TestTarpit(t *testing.T) {
	h := newHouse(t, false, 1)
	h.make()
	release := make(chan struct{})
	for n := range 7 {
		h.add(pki.TenantID(fmt.Sprint("a-slow-", n)), 1, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
	}
	asked := make(chan struct{}, 100)
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		h.ocsp(nil)(w, r)
	})
	h.answer.Store(&seen)
	ended := make(chan error, 1)
	go func() { ended <- h.checker.Round(t.Context()) }()
	for _, what := range []string{"OCSP", "CRL"} {
		select {
		case <-asked:
		case <-time.After(time.Minute):
			t.Errorf("while others do not answer, the %s of a tenant is not looked at", what)
		}
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestLeftAlone: a host that gives nothing is asked in ever fewer rounds.
func TestLeftAlone(t *testing.T) {
	h := newHouse(t, false, 1)
	h.make()
	var asked atomic.Int64
	var well atomic.Bool
	h.add("down", 5, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if !well.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	var got []int64
	for range 9 {
		if err := h.checker.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		got = append(got, asked.Swap(0))
	}
	if want := []int64{7, 7, 0, 7, 0, 0, 0, 7, 0}; !slices.Equal(got, want) { // for OCSP, the certificate and the CRLs
		t.Errorf("requests in each round: %v, want %v", got, want)
	}
	unreachable := func() bool {
		return slices.ContainsFunc(h.Alarms.Of("down"), func(a alarm.Alarm) bool { return a.Name == "status.unreachable" })
	}
	if !unreachable() {
		t.Errorf("alarms %+v", h.Alarms.Of("down"))
	}
	well.Store(true)
	for range 20 {
		if err := h.checker.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if unreachable() {
		t.Error("it answers again")
	}
}

// TestReturned: a target that the publisher reached again is looked at in the next round,
// however often it could not be reached before, and what somebody put back there is told.
func TestReturned(t *testing.T) {
	for _, deltas := range []bool{false, true} {
		h := newHouse(t, deltas, 1)
		h.make()
		h.expect("well")
		lists := []string{"crl/issuer/0.crl"}
		if deltas {
			lists = append(lists, "crl/issuer/0-delta.crl")
		}
		older := make(map[string][]byte)
		for _, name := range lists {
			older[name] = h.get(name)
		}
		h.refused = map[string]error{"": pki.Errorf(pki.Unavailable, "the disk is not mounted")}
		h.revoke()
		h.make()
		for range 4 { // the last of them is the first in which it is left alone
			h.Clock.Advance(time.Minute)
			h.expect("it is away", "status.unreachable"+target)
		}
		h.refused = nil
		for name, crl := range older {
			h.put(name, crl)
		}
		h.expect("left alone", "status.unreachable"+target)
		h.reached = time.Now()
		h.expect("reached again", "crl.stale"+target)
	}
}

// TestReachedBefore: what the publisher brought to a target before that could not be reached
// is no reason to ask it more often.
func TestReachedBefore(t *testing.T) {
	h := newHouse(t, false, 1)
	h.make()
	h.reached = time.Now()
	h.refused = map[string]error{"": pki.Errorf(pki.Unavailable, "the disk is not mounted")}
	for range 4 {
		h.expect("it is away", "status.unreachable"+target)
	}
	h.refused = nil
	h.expect("left alone", "status.unreachable"+target)
}

// TestSlow: a host that takes its time over what it does not give is left alone for the
// rest of the round, and the targets are not.
func TestSlow(t *testing.T) {
	h := newHouse(t, false, 5)
	h.make()
	asked := 0
	slow := h.ocsp(nil)
	halting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".crl") {
			slow(w, r)
			return
		}
		asked++
		time.Sleep(statuscheck.Patience)
		w.WriteHeader(http.StatusBadGateway)
	})
	h.answer.Store(&halting)
	h.put("crl/issuer/4.crl", []byte("<html>"))
	h.expect("slow", "crl.wrong"+url, "crl.wrong"+target)
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
}

// TestEnded: when an issuer ends its alarms do, and what was remembered of it is forgotten;
// those of another issuer of the tenant stay.
func TestEnded(t *testing.T) {
	for _, alone := range []bool{true, false} {
		h := newHouse(t, false, 1)
		if !alone {
			other := *h.CA.Issuer
			other.ID, other.NotAfter = "lasting", other.NotAfter.AddDate(10, 0, 0)
			h.others = []*pki.Issuer{&other}
		}
		serial := h.revoked(pki.Superseded)
		h.make()
		if err := h.checker.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Store.Edit(h.CA.Issuer.ID, serial, func(pki.Revocation) *pki.Revocation { return nil })
		gone := http.HandlerFunc(http.NotFound)
		h.answer.Store(&gone)
		h.put("crl/issuer/0.crl", []byte("<html>"))
		names := func() map[string]bool {
			t.Helper()
			if err := h.checker.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
			all := make(map[string]bool)
			for _, a := range h.Alarms.All() {
				if strings.Contains(a.Target, "issuer:issuer") || strings.Contains(a.Target, "/issuer") {
					all[a.Name] = true
				}
			}
			return all
		}
		raised := names()
		for _, name := range []string{"crl.wrong", "ca.wrong", "ocsp.wrong", "revocation.undone"} {
			if !raised[name] {
				t.Fatalf("no alarm %s among %v", name, raised)
			}
		}
		before := len(h.Alarms.All())
		h.Clock.Advance(h.CA.Issuer.NotAfter.Sub(h.Clock.Now()) + time.Second)
		if left := names(); len(left) > 0 {
			t.Errorf("of an issuer that ended there are alarms %v", left)
		}
		if others := len(h.Alarms.All()); alone && others > 0 || !alone && (others == 0 || others >= before) {
			t.Errorf("%d alarms of others are left", others)
		}
	}
}
