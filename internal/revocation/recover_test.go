package revocation_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
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

	admin, err := access.Principal{Tenant: revocationtest.Tenant, ID: "token:1", Role: access.TenantAdministrator}.Authorize(access.ManageAuthorities, revocationtest.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Renew(t.Context(), revocationtest.Grant(t, revocationtest.Tenant, access.ManageAuthorities), list.Issuer, 0); err != nil || !recovered() {
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
