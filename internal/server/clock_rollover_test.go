package server

import (
	"crypto/x509/pkix"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestJumpsWhileRollingOver sets the clock back an hour and on by a day between the steps
// of a rollover: what needs no certificate from here goes on, with the time that it should
// be; what is issued comes from one issuer before the switch and from the next one after
// it; and what is made of each issuer's status is not wrong.
func TestJumpsWhileRollingOver(t *testing.T) {
	var offset atomic.Int64
	begun := time.Now()
	s := openOn(t, newConfig(t), machine{
		now:     func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) },
		elapsed: func() time.Duration { return time.Since(begun) },
	})
	st := furnish(t, s, "acme", "meter", "tls-server")
	stop := run(t, s)
	ctx, g := t.Context(), st.Permit(t, "acme", access.ManageAuthorities)
	wrong := func(at time.Time) bool {
		return at.Before(begun.Add(-10*time.Minute)) || at.After(time.Now().Add(time.Minute))
	}
	issuedBy := func() pki.IssuerID {
		t.Helper()
		var got *pki.Enrollment
		if err := patiently(func() (err error) {
			got, err = s.enroll.Enroll(ctx, enroll.Request{
				Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "acme.meter", Protocol: pki.ProtocolREST,
				Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})},
			})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return got.Certificate.Issuer
	}
	jumps := []time.Duration{-time.Hour, 24 * time.Hour}
	// during does a step of a rollover while the clock is off, and sees that nothing is
	// issued meanwhile.
	during := func(jump time.Duration, step func() error) {
		t.Helper()
		offset.Store(int64(jump))
		defer offset.Store(0)
		if err := step(); err != nil {
			t.Fatalf("off by %s: %v", jump, err)
		}
		if _, err := s.issuance.Time(); pki.KindOf(err) != pki.Unavailable {
			t.Errorf("off by %s: something would be issued: %v", jump, err)
		}
	}
	for n, jump := range append(jumps, jumps...) {
		before := issuedBy()
		var answer func() error
		during(jump, func() error {
			v, err := s.hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{})
			if err != nil {
				return err
			}
			if made := v.Coming().Created; wrong(made) {
				t.Errorf("off by %s: the next issuer is of %s", jump, made)
			}
			request, err := s.hierarchy.Request(ctx, g, "issuing")
			if err != nil {
				return err
			}
			if wrong(request.Made) {
				t.Errorf("off by %s: the ceremony's request is of %s", jump, request.Made)
			}
			signed := st.Answer(t, "acme", request)
			answer = func() error { _, err := s.hierarchy.Install(ctx, g, signed); return err }
			return nil
		})
		if n >= len(jumps) { // each jump also while something is dropped
			during(jump, func() error { _, err := s.hierarchy.DropNext(ctx, g, "issuing"); return err })
			if now := issuedBy(); now != before {
				t.Errorf("off by %s: %s issues, not %s, after its next was dropped", jump, now, before)
			}
			continue
		}
		during(jump, answer)
		if now := issuedBy(); now != before {
			t.Errorf("off by %s: %s issues before the switch, not %s", jump, now, before)
		}
		var next pki.IssuerID
		during(jump, func() error {
			v, err := s.hierarchy.Switch(ctx, g, "issuing")
			if err == nil {
				next = v.Active().ID
			}
			return err
		})
		if now := issuedBy(); now != next || now == before {
			t.Errorf("off by %s: %s issues after the switch to %s", jump, now, next)
		}
		for _, issuer := range []pki.IssuerID{before, next} {
			crl := crlThat(t, s, revocation.List{Issuer: issuer}, func(*tbs.ParsedCRL) bool { return true })
			if wrong(crl.ThisUpdate) || wrong(crl.NextUpdate.Add(-revocation.DefaultCRLLife)) {
				t.Errorf("off by %s: the CRL of %s is from %s to %s", jump, issuer, crl.ThisUpdate, crl.NextUpdate)
			}
		}
	}
	events, _, err := s.hierarchy.Events(ctx, st.Permit(t, "acme", access.ReadEvents), hierarchy.EventFilter{Action: "authority"}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var acts []string
	for _, e := range events {
		if acts = append(acts, e.Action); wrong(e.At) {
			t.Errorf("%s at %s", e.Action, e.At)
		}
	}
	for act, want := range map[string]int{"authority.rollover": 4, "authority.next": 2, "authority.switch": 2, "authority.drop": 2} {
		n := 0
		for _, a := range acts {
			if a == act {
				n++
			}
		}
		if n != want {
			t.Errorf("%d events %s, want %d", n, act, want)
		}
	}
	if r := checkStopped(t, s, stop); r.Issuers != 4 {
		t.Errorf("pando check: %d issuers", r.Issuers)
	}
}
