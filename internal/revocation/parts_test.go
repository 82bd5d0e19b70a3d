package revocation_test

import (
	"crypto/x509"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// TestPartsAreTheEntries: whatever happens between two CRLs, one that is made of the
// parts of the one before has what the store's entries say, in order.
func TestPartsAreTheEntries(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
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
	same := func() {
		t.Helper()
		state, err := v.Store.Shard(t.Context(), v.CA.Issuer.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		list := fetch(t, v, 0)
		expired := list.ThisUpdate.Add(revocation.Backdate - revocation.DefaultCRLLife)
		entries, err := v.Store.Revoked(t.Context(), v.CA.Issuer.ID, 0, state.Newest, expired, revocation.Span{}, len(all))
		if err != nil {
			t.Fatal(err)
		}
		var want []x509.RevocationListEntry
		for _, r := range entries {
			want = append(want, x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(r.Serial[:]), RevocationTime: r.At, ReasonCode: int(r.Reason)})
		}
		got := list.RevokedCertificateEntries
		for i := range got {
			got[i].Raw, got[i].Extensions = nil, nil
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
			t.Fatalf("entries (-want +got):\n%.3000s", diff)
		}
	}
	publish(t, v, 1)
	same()
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
		same()
	}
}

// TestPartsStay: of a long list only the part with what changed is new, and after a day,
// or where somebody wants it, all are.
func TestPartsStay(t *testing.T) {
	v := revocationtest.New(t, 1)
	addRevoked(t, v, 5000)
	publish(t, v, 1)
	marks := func() map[*byte]bool {
		parts, err := v.Store.PartsDER(t.Context(), v.CA.Issuer.ID, 0, revocation.Span{}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[*byte]bool)
		for _, p := range parts {
			all[&p.DER[0]] = true
		}
		return all
	}
	before := marks()
	fresh := func() (n int) {
		now := marks()
		for p := range now {
			if !before[p] {
				n++
			}
		}
		before = now
		return n
	}
	v.Clock.Advance(time.Minute)
	revoke(t, v, v.Issue(), pki.KeyCompromise)
	publish(t, v, 1)
	if n := fresh(); n != 1 || len(before) != 11 {
		t.Errorf("one revocation made %d of %d parts new", n, len(before))
	}
	v.Clock.Advance(24 * time.Hour)
	publish(t, v, 1)
	if n := fresh(); n != len(before) {
		t.Errorf("a day made %d of %d parts new", n, len(before))
	}
	if err := v.Store.Renew(t.Context(), v.CA.Issuer.ID, 0, pki.Event{}); err != nil {
		t.Fatal(err)
	}
	publish(t, v, 1)
	if n := fresh(); n != len(before) {
		t.Errorf("the wish made %d of %d parts new", n, len(before))
	}
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
			v.Clock.Advance(time.Minute)
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
