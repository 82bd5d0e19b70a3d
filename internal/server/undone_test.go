package server

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestUndone puts the release of a certificate that was revoked for good into the database
// of a running server, with SQL alone, as check.TestPastTheLog does: an alarm tells of it
// until the certificate is revoked again.
func TestUndone(t *testing.T) {
	cfg := newConfig(t)
	target := t.TempDir()
	cfg.Status.CheckEvery = Duration(100 * time.Millisecond)
	cfg.Status.Publish = []PublishTarget{{Name: "web", Directory: target}}
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "meter")
	got, err := s.enroll.Enroll(t.Context(), enroll.Request{
		Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "acme.meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})},
	})
	if err != nil {
		t.Fatal(err)
	}
	meter := got.Certificate
	revoke := func() {
		t.Helper()
		if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), meter.Issuer, meter.Serial, pki.KeyCompromise); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for begun := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
			if time.Since(begun) > 2*time.Minute {
				t.Fatalf("%s: not after two minutes; alarms %+v", what, s.alarms.All())
			}
		}
	}
	isUndone := func() bool {
		return slices.ContainsFunc(s.alarms.All(), func(a alarm.Alarm) bool { return a.Name == "revocation.undone" })
	}
	rounds := func(n uint64) {
		t.Helper()
		first := s.checker.Stats().Rounds.Value()
		until("the checker goes round", func() bool { return s.checker.Stats().Rounds.Value() >= first+n })
	}
	listed := func() bool {
		names, _ := filepath.Glob(filepath.Join(target, "crl", string(meter.Issuer), "*.crl"))
		for _, name := range names {
			der, _ := os.ReadFile(name)
			crl, err := x509.ParseRevocationList(der)
			if err == nil && slices.ContainsFunc(crl.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
				return slices.Equal(e.SerialNumber.Bytes(), meter.Serial.Bytes())
			}) {
				return true
			}
		}
		return false
	}
	revoke()
	until("it is in the published CRL", listed)
	rounds(3)
	if isUndone() {
		t.Fatalf("nothing was undone yet: %+v", s.alarms.All())
	}

	db, err := sql.Open("sqlite", "file:"+cfg.Database()+"?_pragma=busy_timeout(60000)") // the server writes, too
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO revocation (seq, issuer, serial, n, reason, at, shard, not_after)
		SELECT (SELECT max(seq) + 1 FROM revocation), issuer, serial, 2, 8, at + 1000000, shard, not_after FROM revocation WHERE serial = $1`, meter.Serial[:]); err != nil {
		t.Fatal(err)
	}
	until("the alarm", isUndone)
	if err := s.revocation.Renew(t.Context(), st.Permit(t, "acme", access.ManageAuthorities), meter.Issuer, meter.Serial.Shard(2)); err != nil {
		t.Fatal(err)
	}
	rounds(3)
	if !isUndone() {
		t.Errorf("it did not stay: %+v", s.alarms.All())
	}
	revoke()
	until("the end of the alarm", func() bool { return !isUndone() })
}
