package revocation_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// TestNext has every step of a certificate's life.
func TestNext(t *testing.T) {
	const fine = pki.Internal
	for _, latest := range []*pki.Revocation{nil, {N: 1, Reason: pki.CertificateHold}, {N: 2, Reason: pki.RemoveFromCRL}, {N: 3, Reason: pki.Unspecified}} {
		state, n := "good", 0
		if latest != nil {
			state, n = latest.Reason.String(), latest.N
		}
		want := map[string]map[pki.Reason]pki.Kind{
			"good":            {pki.CertificateHold: fine, pki.RemoveFromCRL: pki.Conflict, pki.KeyCompromise: fine, pki.Unspecified: fine},
			"certificateHold": {pki.CertificateHold: pki.Conflict, pki.RemoveFromCRL: fine, pki.KeyCompromise: fine, pki.Unspecified: fine},
			"removeFromCRL":   {pki.CertificateHold: fine, pki.RemoveFromCRL: pki.Conflict, pki.KeyCompromise: fine, pki.Unspecified: fine},
			"unspecified": {pki.CertificateHold: pki.AlreadyRevoked, pki.RemoveFromCRL: pki.AlreadyRevoked,
				pki.KeyCompromise: pki.AlreadyRevoked, pki.Unspecified: pki.AlreadyRevoked},
		}[state]
		for reason, kind := range want {
			got, err := revocation.Next(latest, reason)
			if pki.KindOf(err) != kind || (err == nil) != (got == n+1) {
				t.Errorf("%s after %s: %d, %v; want %s", reason, state, got, err, kind)
			}
		}
	}
}

// TestHoldAndRelease follows one certificate through OCSP and CRLs.
func TestHoldAndRelease(t *testing.T) {
	v := revocationtest.New(t, 1)
	serial := v.Issue()
	g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	for _, step := range []struct {
		act    func() error
		reason int // -1 is good
	}{
		{func() error {
			_, err := v.Revoke(t.Context(), g, v.CA.Issuer.ID, serial, pki.CertificateHold)
			return err
		}, ocsp.CertificateHold},
		{func() error { _, err := v.Release(t.Context(), g, v.CA.Issuer.ID, serial); return err }, -1},
		{func() error {
			_, err := v.Revoke(t.Context(), g, v.CA.Issuer.ID, serial, pki.CertificateHold)
			return err
		}, ocsp.CertificateHold},
		{func() error {
			_, err := v.Revoke(t.Context(), g, v.CA.Issuer.ID, serial, pki.KeyCompromise)
			return err
		}, ocsp.KeyCompromise},
	} {
		v.Clock.Advance(time.Minute)
		ask(t, v, crypto.SHA1, serial) // now it is among the kept answers
		if err := step.act(); err != nil {
			t.Fatal(err)
		}
		publish(t, v, 1)
		answer, entries := ask(t, v, crypto.SHA1, serial), fetch(t, v, 0).RevokedCertificateEntries
		if step.reason < 0 {
			if answer.Status != ocsp.Good || len(entries) != 0 {
				t.Errorf("after the release: OCSP %d, CRL %v", answer.Status, entries)
			}
			continue
		}
		if answer.Status != ocsp.Revoked || answer.RevocationReason != step.reason || !answer.RevokedAt.Equal(v.Clock.Now()) {
			t.Errorf("OCSP says %d for reason %d at %s, want %d", answer.Status, answer.RevocationReason, answer.RevokedAt, step.reason)
		}
		if len(entries) != 1 || entries[0].ReasonCode != step.reason || !entries[0].RevocationTime.Equal(v.Clock.Now()) {
			t.Errorf("the CRL has %v, want reason %d", entries, step.reason)
		}
	}
	for _, stranger := range []access.Permit{{}, revocationtest.Permit(t, "other", access.Revoke), revocationtest.Permit(t, revocationtest.Tenant, access.Enroll)} {
		want := pki.Forbidden
		if stranger.Tenant() == "other" {
			want = pki.NotFound
		}
		if _, err := v.Release(t.Context(), stranger, v.CA.Issuer.ID, serial); pki.KindOf(err) != want {
			t.Errorf("a stranger's release: %v, want %s", err, want)
		}
	}
	var actions []string
	for _, e := range v.Store.Events() {
		actions = append(actions, e.Action)
	}
	if want := []string{"certificate.hold", "certificate.release", "certificate.hold", "certificate.revoke"}; !slices.Equal(actions, want) {
		t.Errorf("events %v, want %v", actions, want)
	}
}

// TestInstallHold: a ceremony's CRL may come after the release of what an earlier
// one had, but not with a hold that is over.
func TestInstallHold(t *testing.T) {
	v := revocationtest.New(t, 1)
	now := v.Clock.Now()
	serial := pki.NewSerial(pki.SerialLong, now)
	v.Store.AddCertificate(v.Root.Issuer, serial, now.AddDate(10, 0, 0))
	revoke := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	install := func(number int64, reasons ...int) error {
		list := x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now, NextUpdate: now.AddDate(0, 6, 0)}
		for _, reason := range reasons {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(serial.Bytes()), RevocationTime: now, ReasonCode: reason})
		}
		return v.InstallCRL(t.Context(), revocationtest.Permit(t, revocationtest.Tenant, access.ManageAuthorities), ceremonyCRL(t, v.Root, list))
	}
	if _, err := v.Revoke(t.Context(), revoke, v.Root.Issuer.ID, serial, pki.CertificateHold); err != nil {
		t.Fatal(err)
	}
	if err := install(1, int(pki.CertificateHold)); err != nil {
		t.Fatal(err)
	}
	if err := install(2); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a CRL without what is on hold: %v", err)
	}
	if _, err := v.Release(t.Context(), revoke, v.Root.Issuer.ID, serial); err != nil {
		t.Fatal(err)
	}
	if err := install(3, int(pki.CertificateHold)); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a CRL with a hold that is over: %v", err)
	}
	if err := install(4, int(pki.RemoveFromCRL)); pki.KindOf(err) != pki.Malformed {
		t.Errorf("a full CRL with removeFromCRL: %v", err)
	}
	if err := install(5); err != nil {
		t.Errorf("the CRL after the release: %v", err)
	}
	if crl, err := v.CRL(t.Context(), revocation.List{Issuer: v.Root.Issuer.ID, Shard: 0}); err != nil || crl.Covers != 2 {
		t.Errorf("the CRL covers %d entries of 2, %v", crl.Covers, err)
	}
}

// TestRevocationsShareACommit: those that come while one is stored go together, and
// each has an outcome of its own, whatever becomes of the others.
func TestRevocationsShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 20
		v := revocationtest.New(t, 1)
		g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
		revoke := func(ctx context.Context, serial pki.Serial) error {
			_, err := v.Revoke(ctx, g, v.CA.Issuer.ID, serial, pki.Superseded)
			return err
		}
		goOn := v.Store.StandStill()
		var running sync.WaitGroup
		running.Go(func() {
			if err := revoke(t.Context(), v.Issue()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // it is being stored
		serial := v.Issue()
		outcomes := make([]error, many)
		for i := range outcomes {
			running.Go(func() { outcomes[i] = revoke(t.Context(), serial) })
		}
		impatient, cancel := context.WithCancel(t.Context())
		running.Go(func() {
			if err := revoke(impatient, v.Issue()); pki.KindOf(err) != pki.Unavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("given up while it waited: %v", err)
			}
		})
		synctest.Wait() // they wait for their turn
		cancel()
		synctest.Wait()
		goOn()
		running.Wait()
		if got, want := v.Store.Groups(), []int{1, many}; !slices.Equal(got, want) {
			t.Errorf("groups of %v, want %v", got, want)
		}
		done := 0
		for _, err := range outcomes {
			switch {
			case err == nil:
				done++
			case pki.KindOf(err) != pki.AlreadyRevoked:
				t.Error(err)
			}
		}
		if done != 1 {
			t.Errorf("one certificate was revoked %d times", done)
		}
	})
}
