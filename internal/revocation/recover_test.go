package revocation_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// TestRecover puts the store back from a backup: what was revoked since is taken over
// from the CRL that was published, and numbers go on above it.
func TestRecover(t *testing.T) {
	v := revocationtest.New(t, 1)
	list := revocation.List{Issuer: v.CA.Issuer.ID}
	latest := func(s *revocation.Service) *revocation.CRL {
		t.Helper()
		if _, err := s.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		crl, err := s.CRL(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		return crl
	}
	serials := make(map[string]pki.Serial)
	for _, name := range []string{"good", "before", "since", "held before", "held since", "final since", "released since", "held again"} {
		serials[name] = v.Issue()
	}
	v.RevokeElsewhere(t, serials["before"], pki.Superseded)
	for _, name := range []string{"held before", "final since", "released since", "held again"} {
		v.RevokeElsewhere(t, serials[name], pki.CertificateHold)
	}
	v.RevokeElsewhere(t, serials["held again"], pki.RemoveFromCRL)
	earlier := latest(v.Service)
	backup := v.Store.Backup()

	serials["issued since"] = v.Issue()
	v.Clock.Advance(time.Minute)
	for _, name := range []string{"since", "final since", "issued since"} {
		v.RevokeElsewhere(t, serials[name], pki.KeyCompromise)
	}
	for _, name := range []string{"held since", "held again"} {
		v.RevokeElsewhere(t, serials[name], pki.CertificateHold)
	}
	v.RevokeElsewhere(t, serials["released since"], pki.RemoveFromCRL)
	for range 3 { // numbers
		v.Clock.Advance(revocation.DefaultCRLLife)
		latest(v.Service)
	}
	published := latest(v.Service)

	old := v.Over(backup)
	for range 2 { // the second finds all in order
		ahead, err := old.Recover(t.Context(), list, published.DER)
		if err != nil || !ahead {
			t.Fatal(ahead, err)
		}
	}
	now := latest(old)
	if now.Number <= published.Number {
		t.Errorf("number %d follows on %d", now.Number, published.Number)
	}
	crl, err := old.Verify(t.Context(), list, now.DER)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[pki.Serial]pki.Reason)
	for e, err := range crl.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if got[e.Serial] = e.Reason; e.Serial == serials["since"] && !e.At.Equal(v.Clock.Now().Add(-3*revocation.DefaultCRLLife)) {
			t.Errorf("it was revoked at %v", e.At)
		}
	}
	want := map[string]pki.Reason{"before": pki.Superseded, "since": pki.KeyCompromise, "held before": pki.CertificateHold, "held since": pki.CertificateHold,
		"final since": pki.KeyCompromise, "released since": pki.CertificateHold, "held again": pki.CertificateHold, "issued since": pki.KeyCompromise}
	for name, serial := range serials {
		reason, revoked := got[serial]
		if expected, ok := want[name]; ok != revoked || reason != expected {
			t.Errorf("%s: revoked %t, %s", name, revoked, reason)
		}
	}
	recovered := func() bool {
		return slices.ContainsFunc(v.Alarms.Of(revocationtest.Tenant), func(a alarm.Alarm) bool { return a.Name == "crl.recovered" })
	}
	if !recovered() {
		t.Error("no alarm")
	}
	if !slices.ContainsFunc(backup.Events(), func(e pki.Event) bool { return e.Action == "crl.recover" && e.Tenant == revocationtest.Tenant }) {
		t.Error("no event")
	}

	// An earlier CRL has nothing that was lost, and a damaged one is none.
	events := len(backup.Events())
	if ahead, err := old.Recover(t.Context(), list, earlier.DER); err != nil || ahead || len(backup.Events()) != events {
		t.Errorf("an earlier CRL: %t, %v", ahead, err)
	}
	damaged := bytes.Clone(published.DER)
	damaged[len(damaged)-1]++
	if _, err := old.Recover(t.Context(), list, damaged); pki.KindOf(err) != pki.BadProof {
		t.Errorf("a damaged CRL: %v", err)
	}

	admin, err := access.Principal{Tenant: revocationtest.Tenant, ID: "token:1", Grants: access.Given(access.TenantAdministrator)}.Authorize(access.ManageAuthorities, revocationtest.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Renew(t.Context(), revocationtest.Permit(t, revocationtest.Tenant, access.ManageAuthorities), list.Issuer, 0); err != nil || !recovered() {
		t.Errorf("the checker's own repair ended the alarm, %v", err)
	}
	if err := old.Renew(t.Context(), admin, list.Issuer, revocation.AllShards); err != nil || recovered() {
		t.Errorf("an operator has seen to it, and the alarm stays, %v", err)
	}
}

// TestRecoverFork: the store went back and made a number again, with less in it.
func TestRecoverFork(t *testing.T) {
	v := revocationtest.New(t, 1)
	list := revocation.List{Issuer: v.CA.Issuer.ID}
	backup := v.Store.Backup()
	lost := v.Issue()
	v.RevokeElsewhere(t, lost, pki.KeyCompromise)
	old := v.Over(backup)
	var made []*revocation.CRL
	for _, s := range []*revocation.Service{v.Service, old} {
		if _, err := s.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		crl, err := s.CRL(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, crl)
	}
	if made[0].Number != made[1].Number {
		t.Fatal("the numbers differ")
	}
	if ahead, err := old.Recover(t.Context(), list, made[0].DER); err != nil || !ahead {
		t.Errorf("%t, %v", ahead, err)
	}
	if !slices.ContainsFunc(v.Alarms.Of(revocationtest.Tenant), func(a alarm.Alarm) bool { return strings.Contains(a.What, " it took over 1 revocation, ") }) {
		t.Errorf("alarms %+v", v.Alarms.Of(revocationtest.Tenant))
	}
	if status, err := backup.Status(t.Context(), list.Issuer, lost); err != nil || status.Revocation == nil {
		t.Errorf("it is not taken over: %v", err)
	}
	if ahead, err := old.Recover(t.Context(), list, made[1].DER); err != nil || ahead {
		t.Errorf("its own: %t, %v", ahead, err)
	}
}

// TestRecoverOffline: what a root's published CRL has is for people to install.
func TestRecoverOffline(t *testing.T) {
	v := revocationtest.New(t, 1)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(5), ThisUpdate: v.Clock.Now(), NextUpdate: v.Clock.Now().AddDate(0, 1, 0)},
		v.Root.Certificate, v.Root.Key)
	if err != nil {
		t.Fatal(err)
	}
	if ahead, err := v.Recover(t.Context(), revocation.List{Issuer: v.Root.Issuer.ID}, der); ahead || pki.KindOf(err) != pki.Conflict {
		t.Errorf("%t, %v", ahead, err)
	}
	if len(v.Store.Events()) > 0 {
		t.Error("something was stored")
	}
}

// stepping is a store that does something before a step of Recover.
type stepping struct {
	*revocationtest.FakeStore
	steps  int
	before func(step int) error
}

func (s *stepping) Recover(ctx context.Context, r revocation.Recovery, e pki.Event) (int, error) {
	s.steps++
	if err := s.before(s.steps); err != nil {
		return 0, err
	}
	return s.FakeStore.Recover(ctx, r, e)
}

// TestRecoverInSteps: while thousands of entries are taken over, no CRL is made of a
// part of them, and where it breaks off, numbers do not go on above the published one.
func TestRecoverInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := revocationtest.New(t, 1)
		list := revocation.List{Issuer: v.CA.Issuer.ID}
		publish := func(s *revocation.Service) {
			if _, err := s.PublishDue(t.Context()); err != nil {
				t.Error(err)
			}
		}
		publish(v.Service)
		backup := v.Store.Backup()
		addRevoked(t, v, 2500)
		for range 3 { // numbers
			v.Clock.Advance(revocation.DefaultCRLLife)
			publish(v.Service)
		}
		published, err := v.CRL(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}

		store := &stepping{FakeStore: backup.Backup()}
		old := v.Over(store)
		store.before = func(step int) error {
			if step == 2 {
				go publish(old) // as RunCRL does
				synctest.Wait()
				if crl, err := old.CRL(t.Context(), list); err != nil || crl.Entries > 0 {
					t.Errorf("a CRL of %d entries was made of a part of them, %v", crl.Entries, err)
				}
			}
			return nil
		}
		if behind, err := old.Recover(t.Context(), list, published.DER); err != nil || !behind || store.steps != 3 {
			t.Fatal(behind, err, store.steps)
		}
		synctest.Wait()
		crl, err := old.CRL(t.Context(), list)
		if err != nil || crl.Entries != 2500 || crl.Number <= published.Number {
			t.Errorf("number %d with %d entries after number %d, %v", crl.Number, crl.Entries, published.Number, err)
		}

		store = &stepping{FakeStore: backup.Backup(), before: func(step int) error {
			if step == 3 {
				return errors.New("it breaks off")
			}
			return nil
		}}
		old = v.Over(store)
		if _, err := old.Recover(t.Context(), list, published.DER); err == nil {
			t.Fatal("it did not break off")
		}
		publish(old)
		if crl, err = old.CRL(t.Context(), list); err != nil || crl.Number >= published.Number {
			t.Errorf("number %d with %d entries, %v", crl.Number, crl.Entries, err)
		}
		if behind, err := old.Recover(t.Context(), list, published.DER); err != nil || !behind {
			t.Fatal(behind, err)
		}
		publish(old)
		if crl, err = old.CRL(t.Context(), list); err != nil || crl.Entries != 2500 || crl.Number <= published.Number {
			t.Errorf("number %d with %d entries after number %d, %v", crl.Number, crl.Entries, published.Number, err)
		}
	})
}

// TestRecoverHigher: a store from a backup whose numbers are above the published one is
// behind all the same, until its CRL has what was published.
func TestRecoverHigher(t *testing.T) {
	v := revocationtest.New(t, 1)
	list := revocation.List{Issuer: v.CA.Issuer.ID}
	released := v.Issue()
	v.RevokeElsewhere(t, released, pki.CertificateHold)
	publish(t, v, 1)
	v.RevokeElsewhere(t, released, pki.RemoveFromCRL)
	backup := v.Store.Backup()
	held, err := v.CRL(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	addRevoked(t, v, 3)
	publish(t, v, 1)
	published, err := v.CRL(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	old := v.Over(backup)
	for range 3 {
		v.Clock.Advance(revocation.DefaultCRLLife)
		if _, err := old.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if behind, err := old.Recover(t.Context(), list, held.DER); err != nil || behind {
		t.Errorf("what was released since keeps a CRL back: %t, %v", behind, err)
	}
	for range 2 { // the second as another target's lane, which finds all of it in the store
		if behind, err := old.Recover(t.Context(), list, published.DER); err != nil || !behind {
			t.Errorf("%t, %v", behind, err)
		}
	}
	if _, err := old.PublishDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if behind, err := old.Recover(t.Context(), list, published.DER); err != nil || behind {
		t.Errorf("once the CRL has all: %t, %v", behind, err)
	}
}

// TestRecoverDelta: numbers are those of the shard, so that a delta below the full list's
// is an old one, also where the store has no delta.
func TestRecoverDelta(t *testing.T) {
	v := newDeltaVA(t)
	serial := v.Issue()
	v.RevokeElsewhere(t, serial, pki.CertificateHold)
	publish(t, v, 2)
	delta := revocation.List{Issuer: v.CA.Issuer.ID, Delta: true}
	old, err := v.CRL(t.Context(), delta)
	if err != nil {
		t.Fatal(err)
	}
	v.RevokeElsewhere(t, serial, pki.RemoveFromCRL)
	v.CA.Issuer.Deltas = false
	v.Clock.Advance(revocation.DefaultCRLLife)
	publish(t, v, 1)
	store := v.Store.Backup()
	store.Forget(delta)
	s := v.Over(store)
	if behind, err := s.Recover(t.Context(), delta, old.DER); err != nil || behind {
		t.Errorf("%t, %v", behind, err)
	}
	if status, err := store.Status(t.Context(), delta.Issuer, serial); err != nil || status.Revocation != nil {
		t.Errorf("what was released is held again, %v", err)
	}
}
