package expiry_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/expiry"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

const day = 24 * time.Hour

// kinds returns the kind and severity of each item, sorted, each once.
func kinds(t *testing.T, s *stack.Stack, window time.Duration) []string {
	t.Helper()
	r, err := s.Expiry.Report(t.Context(), s.Permit(t, "acme", access.ReadAlarms), window)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, item := range r.Items {
		if item.Do == "" || item.Name == "" || item.Ends.IsZero() {
			t.Errorf("%+v", item)
		}
		all = append(all, item.Kind+" "+string(item.Severity))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestLookOut follows a hierarchy until its authority is near its end.
func TestLookOut(t *testing.T) {
	clock := pandotest.NewClock(time.Now())
	s := stack.New(t, stack.Config{Now: clock.Now})
	s.AddTenant(t, "acme", "device")
	_, secret, err := s.Tokens.Create(t.Context(), s.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: "plant", Role: access.FactoryOperator, Life: 90 * day})
	if err != nil || secret.IsZero() {
		t.Fatal(err)
	}
	if _, err := s.Enroll.Enroll(t.Context(), enroll.Request{Grant: s.Permit(t, "acme", access.Enroll), Endpoint: "device", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "gateway"})}}); err != nil {
		t.Fatal(err)
	}
	look := func() (names []string) {
		t.Helper()
		if err := s.Expiry.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, a := range s.Alarms.Of("acme") {
			names = append(names, a.Name+" "+string(a.Severity))
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	if got := kinds(t, s, day); got != nil {
		t.Errorf("within a day: %v", got)
	}
	if diff := cmp.Diff([]string{"token "}, kinds(t, s, 100*day)); diff != "" {
		t.Error(diff)
	}
	if got := look(); got != nil {
		t.Errorf("alarms: %v", got)
	}

	if err := s.Expiry.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.Expiry.Report(t.Context(), s.Permit(t, "acme", access.ReadAlarms), 3*366*day)
	if err != nil || len(r.Counts) != 1 || r.Counts[0].Count != 1 || r.Counts[0].Profile.Name != "device" {
		t.Errorf("%+v, %v", r, err)
	}

	clock.Advance(85 * day)
	if diff := cmp.Diff([]string{"expiry.token warning"}, look()); diff != "" {
		t.Error(diff)
	}
	authority, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	end := authority.Issuers[0].NotAfter
	clock.Advance(end.Sub(clock.Now()) - 100*day)
	if diff := cmp.Diff([]string{"expiry.authority warning", "expiry.profile warning"}, look()); diff != "" {
		t.Error(diff)
	}
	clock.Advance(80 * day)
	if diff := cmp.Diff([]string{"expiry.authority critical", "expiry.profile warning"}, look()); diff != "" {
		t.Error(diff)
	}
	if err := s.Hierarchy.Retire(t.Context(), s.Permit(t, "acme", access.ManageAuthorities), "issuing"); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != nil {
		t.Errorf("alarms of a retired authority: %v", got)
	}
	if _, err := s.Expiry.Report(t.Context(), s.Permit(t, "acme", access.ReadAlarms), 0); pki.KindOf(err) != pki.Malformed {
		t.Error(err)
	}
	if _, err := s.Expiry.Report(t.Context(), s.Permit(t, "acme", access.ReadEvents), day); pki.KindOf(err) != pki.Forbidden {
		t.Error(err)
	}
	s.Alarms.Raise(alarm.Alarm{Key: alarm.Key{Tenant: "acme", Name: "other.alarm"}, Severity: alarm.Warning})
	if diff := cmp.Diff([]string{"other.alarm warning"}, look()); diff != "" {
		t.Errorf("somebody else's alarm: %s", diff)
	}
}

// TestCredential: of a certificate of the server's own it is not said that it should have
// renewed itself before its last quarter.
func TestCredential(t *testing.T) {
	clock := pandotest.NewClock(time.Now())
	s := stack.New(t, stack.Config{Now: clock.Now})
	s.AddTenant(t, "acme", "device")
	key := pandotest.Key(t, pki.P256)
	responder := pandotest.NewRoot(t, "Issuing", clock.Now()).Sign(t, &x509.Certificate{NotBefore: clock.Now(), NotAfter: clock.Now().Add(30 * day)}, key.Public())
	if err := s.Store.PutCredential(t.Context(), &keystore.Credential{Tenant: "acme", Name: "ocsp:x", Chain: [][]byte{responder}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		after    time.Duration
		severity alarm.Severity
		late     bool
	}{{0, "", false}, {20 * day, "", false}, {3 * day, alarm.Warning, true}, {6 * day, alarm.Critical, true}} {
		clock.Advance(test.after)
		r, err := s.Expiry.Report(t.Context(), s.Permit(t, "acme", access.ReadAlarms), 31*day)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(r.Items, func(x expiry.Item) bool { return x.Kind == expiry.Credential })
		if at < 0 {
			t.Fatalf("%+v", r.Items)
		}
		if got := r.Items[at]; got.Severity != test.severity || strings.Contains(got.Do, "has not") != test.late {
			t.Errorf("after %s more: %+v", test.after, got)
		}
	}
}

// TestResponderOfEnded: the certificate of a responder is an alarm where it was not renewed,
// until its issuer has ended; a listener's stays one.
func TestResponderOfEnded(t *testing.T) {
	clock := pandotest.NewClock(time.Now())
	s := stack.New(t, stack.Config{Now: clock.Now})
	s.AddTenant(t, "acme", "device")
	authority, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	issuer := authority.Issuers[0]
	leaf := pandotest.NewRoot(t, "Issuing", clock.Now()).Sign(t, &x509.Certificate{NotBefore: clock.Now(), NotAfter: issuer.NotAfter}, pandotest.Key(t, pki.P256).Public())
	for _, name := range []string{"ocsp:" + string(issuer.ID), "listener:a"} {
		if err := s.Store.PutCredential(t.Context(), &keystore.Credential{Tenant: "acme", Name: name, Chain: [][]byte{leaf}}); err != nil {
			t.Fatal(err)
		}
	}
	late := func(want ...string) {
		t.Helper()
		if err := s.Expiry.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range s.Alarms.Of("acme") {
			if a.Name == "expiry.credential" {
				got = append(got, a.Target)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("on %s: %s", clock.Now(), diff)
		}
	}
	late()
	clock.Advance(issuer.NotAfter.Sub(clock.Now()) - time.Minute)
	late("listener:a", "ocsp:"+string(issuer.ID))
	clock.Advance(time.Minute + time.Second)
	late("listener:a")
}

// TestRootCRL: the CRL of a root is an alarm before it ends and after, until the root has
// ended itself.
func TestRootCRL(t *testing.T) {
	clock := pandotest.NewClock(time.Now())
	s := stack.New(t, stack.Config{Now: clock.Now})
	s.AddTenant(t, "acme", "device")
	request, err := s.Hierarchy.CRLRequest(t.Context(), s.Permit(t, "acme", access.ManageAuthorities), "root", "", 30)
	if err != nil {
		t.Fatal(err)
	}
	end := s.Sign(t, "acme", request).Issuers[0].NotAfter
	crl := func(want string) {
		t.Helper()
		if err := s.Expiry.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, a := range s.Alarms.Of("acme") {
			if a.Name == "expiry.crl" {
				got += string(a.Severity)
			}
		}
		if got != want {
			t.Errorf("on %s it is %q, not %q", clock.Now(), got, want)
		}
	}
	crl("")
	clock.Advance(10 * day)
	crl("warning")
	clock.Advance(30 * day)
	crl("critical")
	clock.Advance(end.Sub(clock.Now()) + time.Second)
	crl("")
}
