package revocation_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// TestPartsAreTheEntries: whatever happens between two CRLs, one that is made of the
// parts of the one before has what the store's entries say, in order.
func TestPartsAreTheEntries(t *testing.T) {
	random := pandotest.Seeded(t)
	v := revocationtest.New(t, 1)
	var all []pki.Serial
	issue := func() pki.Serial {
		serial := pki.NewSerial(pki.SerialRandom, v.Clock.Now())
		v.Store.AddCertificate(v.CA.Issuer, serial, v.Clock.Now().Add(time.Duration(1+random.IntN(200))*24*time.Hour))
		all = append(all, serial)
		return serial
	}
	for range 4000 {
		v.RevokeElsewhere(t, issue(), pki.Reason(random.IntN(2)*int(pki.CertificateHold)))
	}
	publish(t, v, 1)
	sameEntries(t, v)
	for range 60 {
		for range random.IntN(1 << random.IntN(10)) {
			serial := all[random.IntN(len(all))]
			if random.IntN(3) == 0 {
				serial = issue()
			}
			reason := []pki.Reason{pki.CertificateHold, pki.RemoveFromCRL, pki.KeyCompromise}[random.IntN(3)]
			e := &revocation.Entry{Tenant: revocationtest.Tenant, Revocation: pki.Revocation{Issuer: v.CA.Issuer.ID, Serial: serial, Reason: reason, At: v.Clock.Now()}}
			if err := v.Store.Revoke(t.Context(), []*revocation.Entry{e}); err != nil { // many are refused
				t.Fatal(err)
			}
		}
		v.Clock.Advance([]time.Duration{time.Second, time.Hour, revocation.DefaultCRLLife / 2, 30 * 24 * time.Hour}[random.IntN(4)])
		if _, err := v.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		sameEntries(t, v)
	}
}

// sameEntries checks that a CRL of one shard has what the store's entries say, in order.
func sameEntries(t *testing.T, v *revocationtest.VA) {
	t.Helper()
	state, err := v.Store.Shard(t.Context(), v.CA.Issuer.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	list := fetch(t, v, 0)
	expired := list.ThisUpdate.Add(revocation.Backdate - revocation.DefaultCRLLife)
	entries, err := v.Store.Revoked(t.Context(), v.CA.Issuer.ID, 0, state.Newest, expired, revocation.Span{}, math.MaxInt32)
	if err != nil {
		t.Fatal(err)
	}
	got := list.RevokedCertificateEntries
	if len(got) != len(entries) {
		t.Fatalf("%d entries, want %d", len(got), len(entries))
	}
	for i, r := range entries {
		if e := got[i]; e.SerialNumber.Cmp(new(big.Int).SetBytes(r.Serial[:])) != 0 || !e.RevocationTime.Equal(r.At) || e.ReasonCode != int(r.Reason) {
			t.Fatalf("entry %d is %x, %s, %d; want %+v", i, e.SerialNumber, e.RevocationTime, e.ReasonCode, r)
		}
	}
}

// newParts returns how many parts of a shard's CRL are new in it, and how many there are.
func newParts(t *testing.T, v *revocationtest.VA) (fresh, all int) {
	t.Helper()
	parts, err := v.Store.Parts(t.Context(), v.CA.Issuer.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	latest, err := v.Store.CRLNumber(t.Context(), revocation.List{Issuer: v.CA.Issuer.ID})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if p.Number == latest {
			fresh++
		}
	}
	return fresh, len(parts)
}

// TestPartsStay: of a long list only the part with what changed is new, and that whose
// turn it is; after a day, where the clock went back or somebody wants it, all are.
func TestPartsStay(t *testing.T) {
	v := revocationtest.New(t, 1)
	addRevoked(t, v, 5000)
	publish(t, v, 1)
	next := func(what string, want int) {
		t.Helper()
		publish(t, v, 1)
		if n, all := newParts(t, v); n != want || all != 11 {
			t.Errorf("%s made %d of %d parts new, want %d", what, n, all, want)
		}
	}
	v.Clock.Advance(time.Second / 2) // behind all serials, within the second of a CRL
	revoke(t, v, v.Issue(), pki.KeyCompromise)
	next("one revocation", 1)
	v.Clock.Advance(time.Minute)
	revoke(t, v, v.Issue(), pki.KeyCompromise)
	next("one revocation a minute later", 2)
	v.Clock.Advance(24 * time.Hour)
	next("a day", 11)
	v.Clock.Advance(-time.Hour)
	next("a clock that went back", 11)
	if err := v.Store.Renew(t.Context(), v.CA.Issuer.ID, 0, pki.Event{}); err != nil {
		t.Fatal(err)
	}
	next("the wish", 11)
}

// TestPartsInTurn: after a day of CRLs none has a part of the day before, which
// somebody forged, and no single CRL made more than its share of them anew.
func TestPartsInTurn(t *testing.T) {
	for _, every := range []time.Duration{time.Hour, 7 * time.Hour, time.Second * 1000} {
		t.Run(every.String(), func(t *testing.T) {
			v := revocationtest.New(t, 1)
			addRevoked(t, v, 24*500)
			publish(t, v, 1)
			v.Store.ForgeParts(v.CA.Issuer.ID, 0, func(der []byte) []byte { der[10] ^= 1; return der }) // of a serial number
			for begun := v.Clock.Now(); v.Clock.Now().Before(begun.Add(24 * time.Hour)); {
				v.Clock.Advance(every)
				revoke(t, v, v.Issue(), pki.KeyCompromise) // which is in the last part
				_, before := newParts(t, v)
				publish(t, v, 1)
				share := (before*int(every/time.Second) + 86399) / 86400
				if n, all := newParts(t, v); n > share+1 {
					t.Errorf("%d of %d parts made anew, where %d and what changed were enough", n, all, share)
				}
			}
			sameEntries(t, v)
			if all := v.Alarms.Of(revocationtest.Tenant); len(all) != 0 {
				t.Errorf("alarms %v", all)
			}
		})
	}
}

// TestPartsLost: what is behind the last part is made anew with it, so that a part that
// is no more, as by somebody who can write to the store, is not missed for good; where the
// counts do not fit it is found at once.
func TestPartsLost(t *testing.T) {
	for name, test := range map[string]struct {
		lose  func([]revocation.Part) []revocation.Part
		alarm bool
	}{
		"dropped": {func(parts []revocation.Part) []revocation.Part { return parts[:len(parts)-1] }, true},
		"hidden": {func(parts []revocation.Part) []revocation.Part {
			last := len(parts) - 1
			parts[last-1].Entries += parts[last].Entries
			return parts[:last]
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := revocationtest.New(t, 1)
			addRevoked(t, v, 2600)
			publish(t, v, 1)
			v.Store.ChangeParts(v.CA.Issuer.ID, 0, test.lose)
			for begun := v.Clock.Now(); v.Clock.Now().Before(begun.Add(24 * time.Hour)); {
				v.Clock.Advance(10 * time.Hour)
				publish(t, v, 1)
			}
			sameEntries(t, v)
			if all := v.Alarms.Of(revocationtest.Tenant); (len(all) > 0) != test.alarm {
				t.Errorf("alarms %v", all)
			}
		})
	}
}

// TestRenewedMeanwhile: who wants CRLs made anew while one is being made gets one after it.
func TestRenewedMeanwhile(t *testing.T) {
	v := revocationtest.New(t, 1)
	addRevoked(t, v, 5000)
	w := &watchedStore{FakeStore: v.Store}
	s := v.Over(w)
	next := func(want int) {
		t.Helper()
		if n, err := s.PublishDue(t.Context()); n != want || err != nil {
			t.Fatalf("%d CRLs, %v; want %d", n, err, want)
		}
	}
	next(1)
	v.Clock.Advance(10 * time.Minute)
	revoke(t, v, v.Issue(), pki.KeyCompromise)
	w.onPut = func() error {
		w.onPut = nil
		return v.Store.Renew(t.Context(), v.CA.Issuer.ID, 0, pki.Event{})
	}
	next(1)
	next(1)
	if fresh, all := newParts(t, v); fresh != all {
		t.Errorf("%d of %d parts are new", fresh, all)
	}
	next(0)
}

// A watchedStore counts the parts that are stored at once.
type watchedStore struct {
	*revocationtest.FakeStore
	staged []int
	put    int
	onPut  func() error
	onRead func([]revocation.Part) // of those that are staged
	onDrop func(limit int) error
}

func (w *watchedStore) DropParts(ctx context.Context, limit int) (int, error) {
	if w.onDrop != nil {
		if err := w.onDrop(limit); err != nil {
			return 0, err
		}
	}
	return w.FakeStore.DropParts(ctx, limit)
}

func (w *watchedStore) StageParts(ctx context.Context, issuer pki.IssuerID, shard int, number int64, parts []revocation.Part) error {
	w.staged = append(w.staged, len(parts))
	return w.FakeStore.StageParts(ctx, issuer, shard, number, parts)
}

func (w *watchedStore) StagedDER(ctx context.Context, issuer pki.IssuerID, shard int, number int64, span revocation.Span, limit int) ([]revocation.Part, error) {
	parts, err := w.FakeStore.StagedDER(ctx, issuer, shard, number, span, limit)
	if w.onRead != nil {
		w.onRead(parts)
	}
	return parts, err
}

func (w *watchedStore) PutCRL(ctx context.Context, c *revocation.CRL, e *pki.Event) error {
	w.put = len(c.Parts.New)
	if w.onPut != nil {
		if err := w.onPut(); err != nil {
			return err
		}
	}
	return w.FakeStore.PutCRL(ctx, c, e)
}

// TestPartsStaged: of many new parts some are stored before the CRL, 64 at a time, and
// no more than that are held or stored with it. Until it is stored the one before is
// served as it was.
func TestPartsStaged(t *testing.T) {
	v := revocationtest.New(t, 1)
	var serials []pki.Serial
	issue := func() pki.Serial {
		serial := pki.NewSerial(pki.SerialRandom, v.Clock.Now())
		v.Store.AddCertificate(v.CA.Issuer, serial, v.Clock.Now().AddDate(1, 0, 0))
		serials = append(serials, serial)
		return serial
	}
	for range 140 * 500 {
		v.RevokeElsewhere(t, issue(), pki.CertificateHold)
	}
	w := &watchedStore{FakeStore: v.Store}
	s := v.Over(w)
	next := func(what string, want int) {
		t.Helper()
		w.staged = nil
		if n, err := s.PublishDue(t.Context()); n != want || (err != nil) != (w.onPut != nil && want == 0) {
			t.Fatalf("%s: %d CRLs, %v", what, n, err)
		}
		for _, n := range append(w.staged, w.put) {
			if n > 64 {
				t.Errorf("%s: %d parts were stored at once", what, n)
			}
		}
	}
	stays := func(what string) {
		t.Helper()
		if parts, err := v.Store.Parts(t.Context(), v.CA.Issuer.ID, 0); err != nil || len(parts) != 140 {
			t.Errorf("%s: %d parts, %v", what, len(parts), err)
		}
	}
	next("all", 1)
	if diff := cmp.Diff([]int{64, 64}, w.staged); diff != "" || w.put != 12 {
		t.Errorf("%d parts with the CRL, before it (-want +got):\n%s", w.put, diff)
	}
	sameEntries(t, v)
	stays("all")

	// Many in places of their own, between those that stay.
	for i := range 100 {
		e := &revocation.Entry{Tenant: revocationtest.Tenant, Revocation: pki.Revocation{Issuer: v.CA.Issuer.ID, Serial: serials[i*700], Reason: pki.KeyCompromise, At: v.Clock.Now()}}
		if err := errors.Join(v.Store.Revoke(t.Context(), []*revocation.Entry{e}), e.Err); err != nil {
			t.Fatal(err)
		}
	}
	w.onPut = func() error { return errors.New("the process ended") }
	before := fetch(t, v, 0)
	next("an end before it is stored", 0)
	if len(w.staged) != 1 {
		t.Errorf("staged %v", w.staged)
	}
	stays("an end")
	if !bytes.Equal(before.Raw, fetch(t, v, 0).Raw) {
		t.Error("an end changed what is served")
	}
	w.onPut = nil
	next("after the end", 1)
	if fresh, all := newParts(t, v); fresh <= 64 || fresh == all {
		t.Errorf("%d of %d parts are new", fresh, all)
	}
	sameEntries(t, v)
	stays("after the end")
	v.Clock.Advance(10 * 24 * time.Hour)
	next("ten days", 1)
	if fresh, _ := newParts(t, v); fresh != 64 || len(w.staged) != 0 {
		t.Errorf("ten days made %d parts new, staged %v", fresh, w.staged)
	}

	renew := func() {
		t.Helper()
		if err := v.Store.Renew(t.Context(), v.CA.Issuer.ID, 0, pki.Event{}); err != nil {
			t.Fatal(err)
		}
	}
	// Another process is faster: once while the parts are read again.
	renew()
	w.onRead = func([]revocation.Part) {
		w.onRead = nil
		publish(t, v, 1)
	}
	if n, err := s.PublishDue(t.Context()); n != 0 || err != nil {
		t.Errorf("overtaken: %d, %v", n, err)
	}
	sameEntries(t, v)
	if all := v.Alarms.Of(revocationtest.Tenant); len(all) != 0 {
		t.Errorf("alarms %v", all)
	}

	// What is staged is damaged before it is signed.
	renew()
	w.onRead = func(parts []revocation.Part) {
		w.onRead = nil
		parts[0].DER[10] ^= 1
	}
	next("damage", 1)
	sameEntries(t, v)
	if all := v.Alarms.Of(revocationtest.Tenant); len(all) != 1 || all[0].Name != "crl.damaged" {
		t.Errorf("alarms %v", all)
	}
}

// TestPartsGone: the parts of the CRL before are dropped after a CRL is stored, 64 at a time
// at most. What is left where the process ends in between, or the store does not drop it,
// changes nothing, and goes after the next CRL or when the next process begins.
func TestPartsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := revocationtest.New(t, 1)
		const parts = 70
		for range parts * 500 {
			serial := pki.NewSerial(pki.SerialRandom, v.Clock.Now())
			v.Store.AddCertificate(v.CA.Issuer, serial, v.Clock.Now().AddDate(1, 0, 0))
			v.RevokeElsewhere(t, serial, pki.KeyCompromise)
		}
		drops := 0 // of those that are let through
		var limits []int
		w := &watchedStore{FakeStore: v.Store, onDrop: func(limit int) error {
			if limits = append(limits, limit); drops == 0 {
				return errors.New("the process ended")
			}
			drops--
			return nil
		}}
		s := v.Over(w)
		publish(t, v, 1)
		next := func(through, left int, calls ...int) {
			t.Helper()
			drops, limits = through, nil
			if err := v.Store.Renew(t.Context(), v.CA.Issuer.ID, 0, pki.Event{}); err != nil {
				t.Fatal(err)
			}
			if n, err := s.PublishDue(t.Context()); n != 1 || err != nil {
				t.Fatalf("%d CRLs, %v", n, err)
			}
			if gone := v.Store.Gone(); gone != left {
				t.Errorf("%d parts are left of %d, want %d", gone, parts, left)
			}
			if diff := cmp.Diff(calls, limits); diff != "" {
				t.Errorf("dropped at once (-want +got):\n%s", diff)
			}
			sameEntries(t, v)
		}
		next(9, 0, 64, 64)
		next(1, parts-64, 64, 64)
		next(9, 0, 64, 64)
		next(0, parts, 64)
		if n, err := s.PublishDue(t.Context()); n != 0 || err != nil || v.Store.Gone() != parts {
			t.Errorf("%d CRLs, %v, %d parts are left", n, err, v.Store.Gone())
		}

		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.RunCRL(ctx) }()
		synctest.Wait()
		stop()
		if err := <-done; err != nil || v.Store.Gone() != 0 {
			t.Errorf("%v, %d parts are left after the next start", err, v.Store.Gone())
		}
	})
}

// TestPartsDamaged: parts that are not as they were written are in no CRL that is
// signed; it is made of the entries, and an alarm says so.
func TestPartsDamaged(t *testing.T) {
	for what, damage := range map[string]func([]byte) []byte{
		"shorter":   func(b []byte) []byte { return b[:len(b)/2] },
		"longer":    func(b []byte) []byte { return append(b, b...) },
		"no entry":  func(b []byte) []byte { b[0] ^= 1; return b },
		"one fewer": func(b []byte) []byte { return b[2+int(b[1]):] },
		"one bit":   func(b []byte) []byte { b[10] ^= 1; return b }, // of a serial number
	} {
		t.Run(what, func(t *testing.T) {
			v := revocationtest.New(t, 1)
			addRevoked(t, v, 3000)
			publish(t, v, 1)
			v.Store.DamagePart(v.CA.Issuer.ID, 0, damage)
			v.Clock.Advance(time.Second / 2)           // in which no part has its turn
			revoke(t, v, v.Issue(), pki.KeyCompromise) // which is in the last part
			publish(t, v, 1)
			if got := len(fetch(t, v, 0).RevokedCertificateEntries); got != 3001 {
				t.Errorf("%d of 3001 entries", got)
			}
			if all := v.Alarms.Of(revocationtest.Tenant); len(all) != 1 || all[0].Name != "crl.damaged" {
				t.Errorf("alarms %v", all)
			}
		})
	}
}
