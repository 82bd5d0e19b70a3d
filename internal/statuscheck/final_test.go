package statuscheck_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
	"github.com/pando-pki/pando/internal/statuscheck"
)

// The alarm about what was undone.
const gone = "revocation.undone crl/issuer/0.crl"

// edits are what somebody does to the entry of a certificate that was revoked for good.
var edits = map[string]func(now time.Time, r pki.Revocation) *pki.Revocation{
	"a release": func(_ time.Time, r pki.Revocation) *pki.Revocation {
		r.N, r.Reason = r.N+1, pki.RemoveFromCRL
		return &r
	},
	"nothing left": func(time.Time, pki.Revocation) *pki.Revocation { return nil },
	"a hold in its place": func(_ time.Time, r pki.Revocation) *pki.Revocation {
		r.Reason = pki.CertificateHold
		return &r
	},
	"an end in the past": func(now time.Time, r pki.Revocation) *pki.Revocation {
		r.NotAfter = now.Add(-7 * 24 * time.Hour)
		return &r
	},
}

func (h *house) revoked(reason pki.Reason) pki.Serial {
	h.Helper()
	serial := h.Issue()
	g := revocationtest.Permit(h.T, revocationtest.Tenant, access.Revoke)
	if _, err := h.Revoke(h.Context(), g, h.CA.Issuer.ID, serial, reason); err != nil {
		h.Fatal(err)
	}
	return serial
}

// TestUndone: what a published CRL revoked for good and the store does not any more is an
// alarm, before the next CRL is made and when that lacks it, until it is revoked again.
func TestUndone(t *testing.T) {
	for what, edit := range edits {
		for _, deltas := range []bool{false, true} {
			h := newHouse(t, deltas, 1)
			h.make()
			h.revoke()
			serial := h.revoked(pki.KeyCompromise)
			h.make() // with deltas it is in the delta alone
			h.Clock.Advance(3 * time.Minute)
			h.expect("well")
			h.expect("well again")
			var before pki.Revocation
			h.Store.Edit(h.CA.Issuer.ID, serial, func(r pki.Revocation) *pki.Revocation {
				before = r
				return edit(h.Clock.Now(), r)
			})
			h.expect(what, gone)
			if t.Failed() {
				return
			}
			for _, a := range h.Alarms.All() {
				if !strings.Contains(a.What, serial.String()) || !strings.Contains(a.Do, "pando check") || !strings.Contains(a.What, "nothing was wrong on ") {
					t.Errorf("%s: %+v", what, a)
				}
			}
			since := h.Alarms.All()[0].Since
			for range 2 { // the second one is made of nothing but the entries
				h.Clock.Advance(revocation.DefaultCRLLife / 2)
				h.make()
				h.expect(what+", in CRLs too", gone)
				h.expect("it stays", gone)
			}
			if a := h.Alarms.All()[0]; !a.Since.Equal(since) {
				t.Errorf("%s: since %s, not %s", what, a.Since, since)
			}
			h.Store.Edit(h.CA.Issuer.ID, serial, func(pki.Revocation) *pki.Revocation { return &before })
			h.make()
			h.expect("put back")
		}
	}
}

// TestUndoneAtOnce has the next CRL be made as soon as an entry is edited, and the
// certificate be revoked again.
func TestUndoneAtOnce(t *testing.T) {
	h := newHouse(t, false, 1)
	serial := h.revoked(pki.Superseded)
	h.make()
	h.expect("well")
	h.Store.Edit(h.CA.Issuer.ID, serial, func(r pki.Revocation) *pki.Revocation { return edits["a release"](h.Clock.Now(), r) })
	h.Clock.Advance(revocation.DefaultCRLLife / 2)
	h.make()
	h.expect("a CRL without it", gone)
	h.RevokeElsewhere(t, serial, pki.Superseded)
	h.make()
	h.expect("revoked again")
}

// TestEnds: a hold that is over is nothing undone, nor is what is in no CRL any more since
// its certificate expired.
func TestEnds(t *testing.T) {
	h := newHouse(t, false, 1)
	held := h.revoked(pki.CertificateHold)
	h.revoke()
	h.make()
	h.expect("well")
	if _, err := h.Release(t.Context(), revocationtest.Permit(t, revocationtest.Tenant, access.Revoke), h.CA.Issuer.ID, held); err != nil {
		t.Fatal(err)
	}
	h.make()
	h.expect("released")
	h.Clock.Advance(366*24*time.Hour - revocation.DefaultCRLLife)
	h.make()
	h.expect("near its end")
	for range 4 {
		h.Clock.Advance(revocation.DefaultCRLLife * 2 / 5)
		h.make()
		h.expect("past its end")
	}
	if list, err := h.CRL(t.Context(), revocation.List{Issuer: h.CA.Issuer.ID}); err != nil || list.Entries != 0 {
		t.Fatalf("the CRL has %d entries, %v", list.Entries, err)
	}
	h.expect("it is in no CRL any more")
}

// TestUndoneAmongMany: of more than are looked at in a round all are in turn, of all shards.
func TestUndoneAmongMany(t *testing.T) {
	h := newHouse(t, false, 2)
	var all []pki.Serial
	for range 3 * statuscheck.Window {
		serial := h.Issue()
		all = append(all, serial)
		h.RevokeElsewhere(t, serial, pki.Superseded)
	}
	slices.SortFunc(all, func(a, b pki.Serial) int { return slices.Compare(a[:], b[:]) })
	h.make()
	h.Clock.Advance(3 * time.Minute)
	undone := func(want bool) {
		t.Helper()
		got := false
		for range 8 { // twice round, with what is left of a window at the end of a shard
			if err := h.checker.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
			got = len(h.Alarms.All()) > 0
			if got && want {
				break
			}
		}
		if got != want {
			t.Errorf("alarms %+v", h.Alarms.All())
		}
	}
	undone(false)
	for _, at := range []int{0, len(all) / 3, len(all) - 1} {
		var before pki.Revocation
		h.Store.Edit(h.CA.Issuer.ID, all[at], func(r pki.Revocation) *pki.Revocation {
			before = r
			return nil
		})
		undone(true)
		h.Store.Edit(h.CA.Issuer.ID, all[at], func(pki.Revocation) *pki.Revocation { return &before })
		undone(false)
	}
}
