package revocation_test

import (
	"bytes"
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// TestServedIsSigned: a stored CRL that is not what its issuer signed is given to
// nobody. An alarm says so, and the next one is made of the revocations.
func TestServedIsSigned(t *testing.T) {
	for what, damage := range map[string]func([]byte) []byte{
		"one bit":  func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"shorter":  func(b []byte) []byte { return b[:len(b)-1] },
		"nothing":  func([]byte) []byte { return nil },
		"no CRL":   func([]byte) []byte { return []byte("<html>") },
		"appended": func(b []byte) []byte { return append(b, 0) },
	} {
		for _, delta := range []bool{false, true} {
			name := what
			if delta {
				name += " of a delta"
			}
			t.Run(name, func(t *testing.T) {
				v := revocationtest.New(t, 1)
				v.CA.Issuer.Deltas = true
				list := revocation.List{Issuer: v.CA.Issuer.ID, Delta: delta}
				addRevoked(t, v, 1000)
				publish(t, v, 2)
				v.Clock.Advance(time.Minute)
				addRevoked(t, v, 10)
				publish(t, v, 1)
				v.Store.DamageCRL(list, damage)
				for range 2 {
					if _, err := v.CRL(t.Context(), list); pki.KindOf(err) != pki.Unavailable || !strings.Contains(pki.DetailOf(err), "ask again") {
						t.Fatalf("a damaged CRL: %v", err)
					}
				}
				if all := v.Alarms.Of(revocationtest.Tenant); len(all) != 1 || all[0].Name != "crl.damaged" || all[0].Target != list.Path() {
					t.Errorf("alarms %v", all)
				}
				publish(t, v, 2)
				if got := len(fetch(t, v, 0).RevokedCertificateEntries); got != 1010 {
					t.Errorf("%d of 1010 entries", got)
				}
				if _, err := v.CRL(t.Context(), list); err != nil {
					t.Error(err)
				}
				renewals := 0
				for _, e := range v.Store.Events() {
					if e.Action == "crl.renew" {
						renewals++
					}
				}
				if renewals != 1 {
					t.Errorf("it was asked for %d times", renewals)
				}
			})
		}
	}
}

// TestServedIsTheLatest: an older CRL of the list in the latest one's place is not
// what the store says that it is.
func TestServedIsTheLatest(t *testing.T) {
	v := revocationtest.New(t, 1)
	list := revocation.List{Issuer: v.CA.Issuer.ID}
	publish(t, v, 1)
	old, err := v.Store.CRL(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	v.Clock.Advance(time.Minute)
	addRevoked(t, v, 1)
	publish(t, v, 1)
	v.Store.DamageCRL(list, func([]byte) []byte { return bytes.Clone(old.DER) })
	if _, err := v.CRL(t.Context(), list); pki.KindOf(err) != pki.Unavailable {
		t.Errorf("an old CRL in the place of the latest: %v", err)
	}
}

// TestEndedAlarms: when an issuer ends so do the alarms about its status, and whoever still
// asks for it raises none.
func TestEndedAlarms(t *testing.T) {
	v := revocationtest.New(t, 1)
	list := revocation.List{Issuer: v.CA.Issuer.ID}
	publish(t, v, 1)
	v.Store.DamageCRL(list, func([]byte) []byte { return nil })
	v.Responders.Fail(errors.New("no RA"))
	request := revocationtest.Request(t, v.CA.Certificate, crypto.SHA1, v.Issue())
	ask := func() {
		t.Helper()
		if _, err := v.CRL(t.Context(), list); pki.KindOf(err) != pki.Unavailable {
			t.Fatalf("a damaged CRL: %v", err)
		}
		if _, err := v.Respond(t.Context(), v.CA.Issuer.ID, request); pki.KindOf(err) != pki.Unavailable {
			t.Fatalf("no responder: %v", err)
		}
	}
	ask()
	if all := v.Alarms.All(); len(all) != 2 {
		t.Fatalf("alarms %+v", all)
	}
	v.Clock.Advance(v.CA.Issuer.NotAfter.Sub(v.Clock.Now()) + time.Second)
	if err := v.EnsureResponders(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := v.Alarms.All(); len(all) > 0 {
		t.Errorf("of an issuer that ended: %+v", all)
	}
	ask()
	if all := v.Alarms.All(); len(all) > 0 {
		t.Errorf("asked for its status: %+v", all)
	}
}
