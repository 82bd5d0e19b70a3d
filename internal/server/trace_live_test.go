package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// TestTraceFollows: whoever follows an endpoint over REST is sent what came before, and
// each request as it comes, until they leave; nothing of another endpoint.
func TestTraceFollows(t *testing.T) {
	s, st, meter, _ := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "no-est", Authority: "issuing", Profile: "meter"}); err != nil {
		t.Fatal(err)
	}
	looker := by(t, s, st, access.Auditor)
	ctx, leave := context.WithTimeout(t.Context(), 2*time.Minute) // it ends what else would wait for ever
	defer leave()
	enrol := func(body []byte, status int) {
		t.Helper()
		if answer := meter.est("POST", estPath("acme.meter", "simpleenroll"), body); answer.StatusCode != status {
			t.Errorf("%s, want %d", answer.Status, status)
		}
	}
	var seen []*client.Visit
	for v, err := range looker.TraceEndpoint(ctx, "meter", true) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, v)
		switch len(seen) { // each comes once the one before was seen
		case 1:
			meter.est("GET", estPath("acme.no-est", "cacerts"), nil) // is seen at its own endpoint
			enrol([]byte("!!!!"), http.StatusBadRequest)
		case 2:
			enrol([]byte(base64.StdEncoding.EncodeToString(pandotest.CSR(t, pandotest.Key(t, pki.P256), meterSubject("SM-1")))), http.StatusOK)
		case 3:
			leave()
		}
	}
	if other := (&watched{t: t, s: s, label: "acme.no-est"}).next(); len(other) != 1 {
		t.Errorf("at the other endpoint: %+v", other)
	}
	if len(seen) != 3 {
		t.Fatalf("%d were seen before it ended, want 3: %+v", len(seen), seen)
	}
	for i, want := range []client.Visit{
		{No: 1, Protocol: "rest", Device: "SM-1", Outcome: "issued"},
		{No: 2, Protocol: "est", Device: "SM-1", Outcome: "refused", Kind: "malformed"},
		{No: 3, Protocol: "est", Device: "SM-1", Outcome: "issued"},
	} {
		got := seen[i]
		if got.No != want.No || got.Outcome != want.Outcome || got.Kind != want.Kind || got.Protocol != want.Protocol || got.Device != want.Device || (got.Serial != "") != (got.Outcome == "issued") {
			t.Errorf("seen: %+v, want %+v", got, want)
		}
	}
}
