package revocation_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
	"github.com/pando-pki/pando/internal/tbs"
)

func newDeltaVA(t *testing.T) *revocationtest.VA {
	v := revocationtest.New(t, 1)
	v.CA.Issuer.Deltas = true
	return v
}

// list fetches the latest CRL of the issuer's list, checked.
func list(t *testing.T, v *revocationtest.VA, delta bool) *tbs.ParsedCRL {
	t.Helper()
	l := revocation.List{Issuer: v.CA.Issuer.ID, Delta: delta}
	got, err := v.CRL(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := v.Verify(t.Context(), l, got.DER)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// reasons returns what a CRL says of each serial.
func reasons(t *testing.T, crl *tbs.ParsedCRL) map[pki.Serial]pki.Reason {
	t.Helper()
	all := make(map[pki.Serial]pki.Reason)
	var before pki.Serial
	for e, err := range crl.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if new(big.Int).SetBytes(e.Serial[:]).Cmp(new(big.Int).SetBytes(before[:])) <= 0 {
			t.Errorf("%s after %s", e.Serial, before)
		}
		all[e.Serial], before = e.Reason, e.Serial
	}
	return all
}

// apply brings a full CRL up to date with a delta, as RFC 5280, 6.3.3 does, and
// refuses a pair that does not go together (5.2.4).
func apply(t *testing.T, full, delta *tbs.ParsedCRL) map[pki.Serial]pki.Reason {
	t.Helper()
	if full.Number < delta.Base || full.Number >= delta.Number || full.URL != delta.URL {
		t.Fatalf("number %d for %q is not a delta to %d or later ones up to %d for %q", delta.Number, delta.URL, delta.Base, full.Number, full.URL)
	}
	all := reasons(t, full)
	for serial, reason := range reasons(t, delta) {
		if reason == pki.RemoveFromCRL {
			delete(all, serial)
		} else {
			all[serial] = reason
		}
	}
	return all
}

// TestDeltas follows an issuer with deltas: revocations, holds and releases come with
// the delta at once, and with the full CRL when that is made anew anyway.
func TestDeltas(t *testing.T) {
	v := newDeltaVA(t)
	g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	held, other := v.Issue(), v.Issue()
	revoke(t, v, held, pki.CertificateHold)
	publish(t, v, 2)
	first := list(t, v, false)
	if diff := cmp.Diff(map[pki.Serial]pki.Reason{held: pki.CertificateHold}, reasons(t, first)); diff != "" {
		t.Errorf("full CRL (-want +got):\n%s", diff)
	}
	if first.Freshest != "http://status.example/crl/issuer/0-delta.crl" || first.Number != 1 {
		t.Errorf("number %d names the delta %q", first.Number, first.Freshest)
	}
	if d := list(t, v, true); d.Number != 2 || d.Base != 1 || len(reasons(t, d)) != 0 {
		t.Errorf("number %d with base %d and %d entries", d.Number, d.Base, len(reasons(t, d)))
	}

	revoke(t, v, other, pki.KeyCompromise)
	if _, err := v.Release(t.Context(), g, v.CA.Issuer.ID, held); err != nil {
		t.Fatal(err)
	}
	publish(t, v, 1)
	delta := list(t, v, true)
	if diff := cmp.Diff(map[pki.Serial]pki.Reason{held: pki.RemoveFromCRL, other: pki.KeyCompromise}, reasons(t, delta)); diff != "" {
		t.Errorf("delta (-want +got):\n%s", diff)
	}
	if got := list(t, v, false); got.Number != 1 {
		t.Errorf("a revocation made full CRL number %d", got.Number)
	}
	want := map[pki.Serial]pki.Reason{other: pki.KeyCompromise}
	if diff := cmp.Diff(want, apply(t, first, delta)); diff != "" {
		t.Errorf("the full CRL with its delta (-want +got):\n%s", diff)
	}

	// The next full CRL has it all, and later deltas serve those who have either.
	v.Clock.Advance(revocation.DefaultCRLLife / 2)
	publish(t, v, 2)
	second := list(t, v, false)
	if diff := cmp.Diff(want, reasons(t, second)); diff != "" {
		t.Errorf("second full CRL (-want +got):\n%s", diff)
	}
	third := v.Issue()
	revoke(t, v, third, pki.Superseded)
	publish(t, v, 1)
	want[third] = pki.Superseded
	for _, full := range []*tbs.ParsedCRL{first, second} {
		if diff := cmp.Diff(want, apply(t, full, list(t, v, true))); diff != "" {
			t.Errorf("number %d with the delta (-want +got):\n%s", full.Number, diff)
		}
	}
	// Once the first is over, deltas are to the second.
	v.Clock.Advance(revocation.DefaultCRLLife/2 + time.Minute)
	publish(t, v, 2)
	if d := list(t, v, true); d.Base != second.Number {
		t.Errorf("delta %d is to %d, not to %d", d.Number, d.Base, second.Number)
	}
}

// TestDeltaLife: a delta is renewed before its own half is over, without news.
func TestDeltaLife(t *testing.T) {
	v := newDeltaVA(t)
	publish(t, v, 2)
	publish(t, v, 0)
	before := list(t, v, true)
	v.Clock.Advance(before.ThisUpdate.Add(before.NextUpdate.Sub(before.ThisUpdate) / 2).Sub(v.Clock.Now()))
	publish(t, v, 1)
	after := list(t, v, true)
	if after.Number != before.Number+1 || !after.ThisUpdate.After(before.ThisUpdate) {
		t.Errorf("number %d from %s after number %d from %s", after.Number, after.ThisUpdate, before.Number, before.ThisUpdate)
	}
}

// TestRenew has somebody ask for new CRLs: full and delta follow.
func TestRenew(t *testing.T) {
	v := newDeltaVA(t)
	publish(t, v, 2)
	g := revocationtest.Permit(t, revocationtest.Tenant, access.ManageAuthorities)
	if err := v.Renew(t.Context(), g, v.CA.Issuer.ID, revocation.AllShards); err != nil {
		t.Fatal(err)
	}
	if events := v.Store.Events(); events[len(events)-1].Action != "crl.renew" {
		t.Errorf("events %+v", events)
	}
	for _, c := range []struct {
		g      access.Permit
		issuer pki.IssuerID
		kind   pki.Kind
	}{
		{revocationtest.Permit(t, "stranger", access.ManageAuthorities), v.CA.Issuer.ID, pki.NotFound},
		{g, v.Root.Issuer.ID, pki.PolicyRefused},
		{revocationtest.Permit(t, revocationtest.Tenant, access.Revoke), v.CA.Issuer.ID, pki.Forbidden},
	} {
		if err := v.Renew(t.Context(), c.g, c.issuer, revocation.AllShards); pki.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.issuer, err)
		}
	}
	publish(t, v, 2)
	publish(t, v, 0)
	got := []int64{list(t, v, false).Number, list(t, v, true).Number}
	if diff := cmp.Diff([]int64{3, 4}, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// TestVerify refuses what is not the list's.
func TestVerify(t *testing.T) {
	v := newDeltaVA(t)
	other := v.AddCA(t, "other", 2)
	publish(t, v, 4)
	lists := []revocation.List{{Issuer: "issuer"}, {Issuer: "issuer", Delta: true}, {Issuer: other.Issuer.ID}, {Issuer: other.Issuer.ID, Shard: 1}}
	for _, from := range lists {
		crl, err := v.CRL(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		for _, as := range lists {
			if _, err := v.Verify(t.Context(), as, crl.DER); (err == nil) != (from == as) {
				t.Errorf("%s as %s: %v", from, as, err)
			}
		}
		crl.DER = append([]byte(nil), crl.DER...)
		crl.DER[len(crl.DER)-1]++
		if _, err := v.Verify(t.Context(), from, crl.DER); pki.KindOf(err) != pki.BadProof {
			t.Errorf("%s damaged: %v", from, err)
		}
	}
}

// TestBehind: what is in the full CRL or in the delta is published.
func TestBehind(t *testing.T) {
	for _, c := range []struct {
		newest, full, delta int64
		want                bool
	}{
		{0, 0, 0, false}, {3, 3, 0, false}, {3, 2, 0, true}, {3, 2, 3, false}, {3, 1, 2, true}, {3, 3, 2, false},
	} {
		s := revocation.ShardState{Newest: c.newest, Edition: revocation.Edition{Number: 1, Covers: c.full}, Delta: revocation.Edition{Covers: c.delta}}
		if got := s.Behind(); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
		if s.Number = 0; !s.Behind() {
			t.Errorf("%+v without a CRL: not behind", c)
		}
	}
}
