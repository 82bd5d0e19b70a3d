package server

import (
	"crypto/x509/pkix"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestJumpsWhileServing sets the clock back an hour and on by a day, and each way by chance,
// while the server runs: revocations, CRLs and anchors have the time that it should say.
func TestJumpsWhileServing(t *testing.T) {
	random := pandotest.Seeded(t)
	var offset atomic.Int64
	begun := time.Now()
	s := openOn(t, newConfig(t), machine{
		now:     func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) },
		elapsed: func() time.Duration { return time.Since(begun) },
	})
	st := furnish(t, s, "acme", "meter", "tls-server")
	stop := run(t, s)
	ctx := t.Context()
	enrolled := func(device string) (*pki.Certificate, error) {
		got, err := s.enroll.Enroll(ctx, enroll.Request{
			Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "acme.meter", Protocol: pki.ProtocolREST,
			Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device})},
		})
		if err != nil {
			return nil, err
		}
		return got.Certificate, nil
	}
	wrong := func(at time.Time) bool {
		return at.Before(begun.Add(-10*time.Minute)) || at.After(time.Now().Add(time.Minute))
	}
	// By more than what is wrong is told by.
	chance := func() time.Duration {
		return (15*time.Minute + time.Duration(random.Int64N(int64(48*time.Hour)))).Round(time.Second)
	}
	jumps := []time.Duration{-time.Hour, 24 * time.Hour, -chance(), chance()}
	random.Shuffle(len(jumps), func(i, j int) { jumps[i], jumps[j] = jumps[j], jumps[i] })
	for _, jump := range jumps {
		var c *pki.Certificate
		if err := patiently(func() (err error) {
			c, err = enrolled("SM" + strings.ReplaceAll(jump.String(), "-", "before"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		offset.Store(int64(jump))
		if _, err := enrolled("SM-0"); pki.KindOf(err) != pki.Unavailable {
			t.Errorf("%s: a certificate is issued: %v", jump, err)
		}
		status, err := s.revocation.Revoke(ctx, st.Permit(t, "acme", access.Revoke), c.Issuer, c.Serial, pki.CertificateHold)
		if err != nil {
			t.Fatal(err)
		}
		if at := status.Revocation.At; wrong(at) {
			t.Errorf("%s: revoked at %s", jump, at)
		}
		crl := crlWith(t, s, revocation.List{Issuer: c.Issuer, Shard: status.Revocation.Shard}, c.Serial)
		if wrong(crl.ThisUpdate) || wrong(crl.NextUpdate.Add(-revocation.DefaultCRLLife)) {
			t.Errorf("%s: a CRL from %s to %s", jump, crl.ThisUpdate, crl.NextUpdate)
		}
		logs, err := s.store.Logs(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range logs {
			if !l.UnanchoredSince.IsZero() && wrong(l.UnanchoredSince) {
				t.Errorf("%s: the log of tenant %q is not anchored since %s", jump, l.Tenant, l.UnanchoredSince)
			}
		}
		for _, a := range s.alarms.All() {
			if a.Name == "anchor.late" || strings.HasPrefix(a.Name, "crl.") {
				t.Errorf("%s: the alarm %s: %s", jump, a.Name, a.What)
			}
		}
		offset.Store(0)
	}
	if err := patiently(func() error { _, err := enrolled("SM-0"); return err }); err != nil {
		t.Errorf("the clock is right again: %v", err)
	}
	checkStopped(t, s, stop)
}

// crlWith returns the first CRL of a list that has the serial.
func crlWith(t *testing.T, s *Server, list revocation.List, serial pki.Serial) *tbs.ParsedCRL {
	t.Helper()
	return crlThat(t, s, list, func(crl *tbs.ParsedCRL) bool {
		for e := range crl.Entries() {
			if e.Serial == serial {
				return true
			}
		}
		return false
	})
}

// crlThat returns the first CRL of a list that does. The busier the machine, the longer
// that takes: the pace at which CRLs are made follows from what one costs.
func crlThat(t *testing.T, s *Server, list revocation.List, does func(*tbs.ParsedCRL) bool) *tbs.ParsedCRL {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 5*time.Minute; time.Sleep(20 * time.Millisecond) {
		latest, err := s.revocation.CRL(t.Context(), list)
		if pki.KindOf(err) == pki.NotFound {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		crl, err := tbs.ParseCRL(latest.DER)
		if err != nil {
			t.Fatal(err)
		}
		if does(crl) {
			return crl
		}
	}
	t.Fatal("there is no such CRL")
	return nil
}
