package validator_test

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/fakeintune"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/validator"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// settings are those of a fake, found by its list of services.
func settings(f *fakeintune.Service) validator.Settings {
	return validator.Settings{Name: "intune", Tenants: []pki.TenantID{"acme"}, Networks: loopback, Client: fakeintune.Client, Secret: pki.NewSecret(fakeintune.Secret),
		Token: f.URL + "/tenant/oauth2/v2.0/token", Scope: fakeintune.Scope, Discovery: f.URL + "/graph/endpoints", DiscoveryScope: fakeintune.Graph}
}

func newService(now pki.Clock, s ...validator.Settings) (*validator.Service, *alarm.Board, *bytes.Buffer) {
	board, log := alarm.NewBoard(time.Now), new(bytes.Buffer)
	return validator.New(validator.Config{Validators: s, Alarms: board, Now: now, Log: slog.New(slog.NewTextHandler(log, nil))}), board, log
}

func request(t *testing.T, challenge string) []byte {
	t.Helper()
	return pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "laptop-1"},
		pandotest.Attribute{OID: der.OIDChallengePassword, Value: der.Append(nil, asn1.UTF8String, []byte(challenge))})
}

// TestAnswers: what each answer of a validator means, and nothing but Success is yes.
func TestAnswers(t *testing.T) {
	f := fakeintune.New(t)
	clock := pandotest.NewClock(time.Now())
	s, _, _ := newService(clock.Now, settings(f))
	csr := request(t, "challenge")
	is := func(what string, want pki.Kind, say string) {
		t.Helper()
		err := s.Validate(t.Context(), "acme", "intune", "t-1", csr)
		if err == nil || pki.KindOf(err) != want || !strings.Contains(pki.DetailOf(err), say) {
			t.Errorf("%s: %v, want %s with %q", what, err, want, say)
		}
	}
	for code, want := range map[string]pki.Kind{
		"ChallengeExpired": pki.Unauthenticated, "SignatureValidationFailed": pki.Unauthenticated, "SubjectNameMismatch": pki.PolicyRefused,
		"ScepProfileNoLongerTargetedToTheClient": pki.PolicyRefused, "success": pki.Unauthenticated, "SomethingNew": pki.Unauthenticated,
	} {
		f.Take("challenge", code)
		is(code, want, "the validator intune says "+code+": as the fake was told")
	}
	f.Take("challenge", "Success")
	if err := s.Validate(t.Context(), "acme", "intune", "t-1", csr); err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{400, 413, 422} {
		f.Fail(status)
		is(http.StatusText(status), pki.Unauthenticated, "answered with status")
	}
	for _, status := range []int{401, 403, 404, 408, 429, 500, 502, 503, 302, 304} {
		f.Fail(status)
		is(http.StatusText(status), pki.Unavailable, "answered with status")
	}
	s.Answers(func(name string, got *stat.Answers) {
		counts := []uint64{got.Yes.Value(), got.No.Value(pki.Unauthenticated), got.No.Value(pki.PolicyRefused), got.No.Value(pki.Unavailable)}
		if want := []uint64{1, 4 + 3, 2, 10}; name != "intune" || !slices.Equal(counts, want) {
			t.Errorf("%s: %v are counted, want %v", name, counts, want)
		}
	})
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := s.Validate(gone, "acme", "intune", "t-1", csr); err == nil {
		t.Error("an answer for a client that is gone")
	}
	s.Answers(func(_ string, got *stat.Answers) {
		if n := got.No.Value(pki.Unavailable); n != 10 {
			t.Errorf("a client that is gone is counted: %d", n)
		}
	})
	f.Fail(0)
	for what, body := range map[string]string{
		"no JSON": "<html>", "another form": `[]`, "no code": `{"errorDescription":"x"}`, "a code that is no text": `{"code":1}`, "nothing": " ", "null": "null",
		"oversized": `{"code":"Success","errorDescription":"` + strings.Repeat("x", 65<<10) + `"}`, "two values": `{"code":"Success"}{"code":"Success"}`,
	} {
		f.Say(body)
		is(what, pki.Unavailable, "the answer is not what such a service answers")
	}
	f.Say("{\"code\":\"Challenge\\u0000\\nExpired\",\"errorDescription\":\"" + strings.Repeat("é", 1000) + "\"}")
	err := s.Validate(t.Context(), "acme", "intune", "t-1", csr)
	if text := pki.DetailOf(err); strings.ContainsAny(text, "\n\x00") || len(text) > 400 {
		t.Errorf("shown: %q", text)
	}
	f.Say("")
	before := f.Tokens()
	clock.Advance(time.Minute)
	f.Revoke() // a token that counts no more is followed by another
	if err := s.Validate(t.Context(), "acme", "intune", "t-1", csr); err != nil || f.Tokens() == before {
		t.Errorf("%v, %d tokens after %d", err, f.Tokens(), before)
	}
	before = f.Tokens()
	if err := s.Validate(t.Context(), "acme", "intune", "t-1", csr); err != nil || f.Tokens() != before {
		t.Errorf("%v, %d tokens after %d: one is kept while it is good", err, f.Tokens(), before)
	}
	if err := s.Validate(t.Context(), "other", "intune", "t-1", csr); pki.KindOf(err) != pki.Unavailable {
		t.Errorf("another tenant's endpoint: %v", err)
	}
	if err := s.Check("other", "intune"); pki.KindOf(err) != pki.NotFound {
		t.Errorf("another tenant: %v", err)
	}
}

// TestNoWayIn: no redirect is followed, nothing near is asked that the operator did not list,
// also where the list of services names it, and no secret is in an error, an alarm or a log.
func TestNoWayIn(t *testing.T) {
	f := fakeintune.New(t)
	asked := 0
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer inner.Close()
	redirect := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	defer redirect.Close()
	requests := [][]byte{request(t, "challenge"), request(t, "challenge"), request(t, "challenge")}
	unlisted, redirected := settings(f), settings(f)
	unlisted.Networks = nil
	redirected.URL, redirected.Discovery = redirect.URL, ""
	for name, c := range map[string]struct {
		settings  validator.Settings
		elsewhere string
	}{
		"loopback is not listed": {unlisted, ""}, "a redirect": {redirected, ""},
		"the list of services names a plain URL":   {settings(f), "http://10.0.0.1/"},
		"the list of services names credentials":   {settings(f), "https://169.254.169.254/latest"},
		"the list of services names what is near":  {settings(f), "https://10.0.0.1/"},
		"the list of services names no URL at all": {settings(f), "file:///etc/passwd"},
	} {
		t.Run(name, func(t *testing.T) {
			f.Elsewhere(c.elsewhere)
			s, board, log := newService(time.Now, c.settings)
			for _, csr := range requests {
				err := s.Validate(t.Context(), "acme", "intune", "t-1", csr)
				if pki.KindOf(err) != pki.Unavailable || strings.Contains(err.Error(), fakeintune.Secret) || strings.Contains(err.Error(), "token-") {
					t.Errorf("%v", err)
				}
			}
			alarms := board.Of(pki.Platform)
			if len(alarms) != 1 || alarms[0].Name != "validator.unreachable" || strings.Contains(alarms[0].What+alarms[0].Do+log.String(), fakeintune.Secret) {
				t.Errorf("alarms %+v, log %s", alarms, log)
			}
		})
	}
	if asked != 0 {
		t.Errorf("%d requests came where none may", asked)
	}
}

// TestTime: a validator that is slow is waited for so long, and a client that goes away is no
// alarm.
func TestTime(t *testing.T) {
	f := fakeintune.New(t)
	f.Hold()
	s, board, _ := newService(time.Now, settings(f))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Validate(ctx, "acme", "intune", "t-1", request(t, "challenge")); pki.KindOf(err) != pki.Unavailable {
		t.Errorf("%v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 5 {
		_ = s.Validate(gone, "acme", "intune", "t-1", request(t, "challenge"))
	}
	if alarms := board.Of(pki.Platform); len(alarms) != 0 {
		t.Errorf("%+v", alarms)
	}
}

// TestSettings: what no validator can be is refused where it is read.
func TestSettings(t *testing.T) {
	good := validator.Settings{Name: "own", Tenants: []pki.TenantID{"acme"}, URL: "https://mdm.example.com/pando"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	intune := validator.Settings{Name: "intune", Tenants: []pki.TenantID{"acme"}, Client: "id"}.Intune("contoso.onmicrosoft.com")
	if err := intune.Check(); err != nil || intune.Token != "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token" {
		t.Errorf("%v, %s", err, intune.Token)
	}
	for what, change := range map[string]func(*validator.Settings){
		"no name": func(s *validator.Settings) { s.Name = "" }, "no tenant": func(s *validator.Settings) { s.Tenants = nil }, "a tenant that is none": func(s *validator.Settings) { s.Tenants[0] = "A B" },
		"nowhere": func(s *validator.Settings) { s.URL = "" }, "twice": func(s *validator.Settings) { s.Discovery = "https://a" }, "plain": func(s *validator.Settings) { s.URL = "http://mdm.example.com" },
		"a client without tokens": func(s *validator.Settings) { s.Client = "id" }, "tokens without a client": func(s *validator.Settings) { s.Token = "https://a" },
	} {
		s := good
		s.Tenants = []pki.TenantID{"acme"}
		change(&s)
		if err := s.Check(); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: %v", what, err)
		}
	}
}
