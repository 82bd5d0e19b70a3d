package enrolauth_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/visits"
)

// TestFailuresAreSeen: a proof that fails is seen by whoever looks on, with what was
// wrong and without the secret; many raise an alarm, which ends when they do.
func TestFailuresAreSeen(t *testing.T) {
	h := newHouse(t, "meter")
	made, text := h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	h.clock.Advance(enrolauth.DefaultLife)
	_, err := h.prove("meter", enrolauth.Presented{Secret: text, Remote: "192.0.2.7:1", Protocol: pki.ProtocolEST})
	h.is("expired", err, pki.Unauthenticated)
	var seen []visits.Visit
	for v := range h.Visits.Watch(t.Context(), "acme.meter", false) {
		seen = append(seen, v)
	}
	want := fmt.Sprintf("the secret %s expired at %s", made.ID, made.Expires.UTC().Format(time.RFC3339))
	if len(seen) != 1 || seen[0].Why != want || !seen[0].Refused || seen[0].Kind != pki.Unauthenticated || seen[0].Source != "192.0.2.7" || seen[0].Protocol != pki.ProtocolEST {
		t.Errorf("seen: %+v", seen)
	}

	raised := func() []alarm.Alarm { return h.Alarms.Of("acme") }
	wrong := enrolauth.Presented{Secret: pki.NewSecret(strings.Repeat("x", 20))}
	for i := range 50 {
		if len(raised()) > 0 {
			t.Fatalf("an alarm after %d failures", i+1)
		}
		h.prove("meter", wrong)
		h.prove("none", wrong) // there is no such endpoint
	}
	if all := raised(); len(all) != 1 || all[0].Name != "endpoint.failures" || all[0].Target != "endpoint:meter" || strings.Contains(all[0].What+all[0].Do, "xxx") {
		t.Fatalf("alarms: %+v", all)
	}
	synctest.Test(t, func(t *testing.T) {
		go h.Secrets.Run(t.Context())
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(raised()) != 1 {
			t.Error("the alarm ends too soon")
		}
		h.clock.Advance(10 * time.Minute)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(raised()) != 0 {
			t.Error("the alarm does not end")
		}
	})
}

// TestEnrolmentsAreSeen: what enrols is seen, too, and what is refused of who proved
// themselves.
func TestEnrolmentsAreSeen(t *testing.T) {
	h := newHouse(t, "meter")
	made, text := h.secret(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-1"})
	p := enrolauth.Presented{Secret: text, Remote: "[2001:db8::7]:1"}
	got, err := h.ask("meter", p, meterCSR(t, "SM-1"))
	h.ok("enrolling", err)
	_, err = h.ask("meter", p, meterCSR(t, "SM-2"))
	h.is("another device", err, pki.Forbidden)
	who := made.Principal()
	var seen []visits.Visit
	for v := range h.Visits.Watch(t.Context(), "acme.meter", false) {
		v.At = time.Time{}
		seen = append(seen, v)
	}
	want := []visits.Visit{
		{No: 1, Protocol: pki.ProtocolEST, Source: "2001:db8::7", Who: who, Device: "SM-1", Serial: got.Certificate.Serial.String()},
		{No: 2, Protocol: pki.ProtocolEST, Source: "2001:db8::7", Who: who, Device: "SM-1", Refused: true, Kind: pki.Forbidden, Why: pki.DetailOf(err)},
	}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("seen %+v, want %+v", seen, want)
	}
}

// TestUserIsNotShown: what came as the user name, which may be the secret itself, is in no
// error, nor seen by whoever looks on.
func TestUserIsNotShown(t *testing.T) {
	h := newHouse(t, "meter", "tls-server")
	_, text := h.secret(enrolauth.NewSecret{Endpoint: "meter"})
	_, bound := h.secret(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-1"})
	_, elsewhere := h.secret(enrolauth.NewSecret{Endpoint: "tls-server"})
	chosen := pki.NewSecret("a text of somebody's own")
	h.secret(enrolauth.NewSecret{Endpoint: "meter", Chosen: chosen})
	for _, test := range []struct {
		name string
		p    enrolauth.Presented
	}{
		{"a secret twice", enrolauth.Presented{User: text.Reveal(), Secret: text}},
		{"a device's secret twice", enrolauth.Presented{User: bound.Reveal(), Secret: bound}},
		{"a secret as the user of another", enrolauth.Presented{User: text.Reveal(), Secret: bound}},
		{"a secret as the user alone", enrolauth.Presented{User: text.Reveal()}},
		{"another endpoint's secret twice", enrolauth.Presented{User: elsewhere.Reveal(), Secret: elsewhere}},
		{"a chosen secret twice", enrolauth.Presented{User: chosen.Reveal(), Secret: chosen}},
	} {
		_, err := h.prove("meter", test.p)
		h.is(test.name, err, pki.Unauthenticated)
		shown := err.Error()
		for v := range h.Visits.Watch(t.Context(), "acme.meter", false) {
			shown += "\n" + v.Why + "\n" + string(v.Device)
		}
		if user := test.p.User; strings.Contains(shown, user) || strings.Contains(shown, user[len(user)-10:]) {
			t.Errorf("%s is shown: %s", test.name, shown)
		}
	}
}

// TestSlowGuesses: a wrong guess at a text that somebody chose takes so long that it counts
// as many others: else nobody who guesses would ever have failed too often.
func TestSlowGuesses(t *testing.T) {
	h := newHouse(t, "meter")
	h.secret(enrolauth.NewSecret{Endpoint: "meter", Chosen: pki.NewSecret("correct horse battery")})
	limits := limit.New(limit.Config{Failures: limit.Rate{PerSecond: 10, Burst: 15}, Now: h.clock.Now})
	looked := 0
	for range 4 {
		_ = limits.Admit("192.0.2.1:1", 1, func() (limit.Asker, error) {
			looked++
			_, err := h.prove("meter", enrolauth.Presented{Secret: pki.NewSecret("a wrong guess of it"), Remote: "192.0.2.1:1"})
			h.is("a wrong guess", err, pki.Unauthenticated)
			return limit.Asker{}, err
		})
	}
	if looked != 2 {
		t.Errorf("%d guesses were looked at, want 2", looked)
	}
}
