package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// TestTraceClaims: a device that nobody proved is shown as claimed, and no other.
func TestTraceClaims(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		visit client.Visit
		want  string
	}{
		{client.Visit{At: at, Protocol: "scep", Source: "192.0.2.7", Device: "SM-1", Outcome: "refused", Kind: "unauthenticated", Why: "no secret"},
			"2026-01-02T03:04:05Z  scep  from 192.0.2.7  nobody  device SM-1 (claimed)  refused unauthenticated  no secret\n"},
		{client.Visit{At: at, Protocol: "scep", Source: "192.0.2.7", Who: "secret:1", Device: "SM-1", Outcome: "refused", Kind: "conflict", Why: "a transaction"},
			"2026-01-02T03:04:05Z  scep  from 192.0.2.7  secret:1  device SM-1  refused conflict  a transaction\n"},
		{client.Visit{At: at, Protocol: "est", Source: "192.0.2.7", Outcome: "refused", Kind: "unauthenticated", Why: "no secret"},
			"2026-01-02T03:04:05Z  est  from 192.0.2.7  nobody  device -  refused unauthenticated  no secret\n"},
	} {
		var out strings.Builder
		if err := new(endpointTrace).show(&console{out: &out}, &test.visit); err != nil || out.String() != test.want {
			t.Errorf("%q, %v, want %q", out.String(), err, test.want)
		}
	}
}

// TestTraceSaysThatItFollows: whoever waits for it to end is told, and programs are not.
func TestTraceSaysThatItFollows(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	cl, err := client.New(client.Config{Server: srv.URL, Token: client.TokenOf("x"), HTTPClient: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		trace endpointTrace
		json  bool
		says  bool
	}{
		{endpointTrace{Endpoint: "meter"}, false, true},
		{endpointTrace{Endpoint: "meter", NoFollow: true}, false, false},
		{endpointTrace{Endpoint: "meter"}, true, false},
	} {
		var out, errs strings.Builder
		if err := test.trace.Run(t.Context(), &console{out: &out, err: &errs, json: test.json}, cl); err == nil {
			t.Error("an answer that is none is no error")
		}
		if got := strings.Contains(errs.String(), "until interrupted"); got != test.says || out.Len() > 0 {
			t.Errorf("%+v, JSON %v: %q", test.trace, test.json, &errs)
		}
	}
}
