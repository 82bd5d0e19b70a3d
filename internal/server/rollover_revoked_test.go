package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// TestRevokedIssuers: neither EST nor SCEP tells clients of a next or an earlier issuer
// whose certificate is revoked.
func TestRevokedIssuers(t *testing.T) {
	s, st, meter, _ := trusting(t)
	ctx, g := t.Context(), st.Permit(t, "acme", access.ManageAuthorities)
	if _, err := s.enroll.UpdateEndpoint(ctx, st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "meter", Protocols: []pki.Protocol{pki.ProtocolREST, pki.ProtocolEST, pki.ProtocolSCEP}}); err != nil {
		t.Fatal(err)
	}
	meter.chain = nil
	next := func() *hierarchy.View {
		t.Helper()
		if _, err := s.hierarchy.Rollover(ctx, g, "issuing", hierarchy.Rollover{}); err != nil {
			t.Fatal(err)
		}
		request, err := s.hierarchy.Request(ctx, g, "issuing")
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.hierarchy.Install(ctx, g, st.Answer(t, "acme", request))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	revoke := func(i *pki.Issuer) {
		t.Helper()
		serial, err := pki.SerialFromBytes(pandotest.Parse(t, i.Certificate).SerialNumber.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.revocation.Revoke(ctx, st.Permit(t, "acme", access.Revoke), i.Parent, serial, pki.CACompromise); err != nil {
			t.Fatal(err)
		}
	}
	published := func(want int) {
		t.Helper()
		if n := len(certificates(t, meter.est("GET", estPath("acme.meter", "cacerts"), nil))); n != want {
			t.Errorf("EST publishes %d certificates, not %d", n, want)
		}
	}
	foretold := func(want int) {
		t.Helper()
		code := 0
		for end := time.Now().Add(time.Minute); code != want && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			answer, err := http.Get(s.URL("http") + "/scep/acme.meter?operation=GetNextCACert")
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			code = answer.StatusCode
		}
		if code != want {
			t.Errorf("GetNextCACert answers %d, not %d", code, want)
		}
	}

	v := next()
	published(3)
	foretold(http.StatusOK)
	revoke(v.Coming())
	published(2)
	foretold(http.StatusNotFound)

	if _, err := s.hierarchy.DropNext(ctx, g, "issuing"); err != nil {
		t.Fatal(err)
	}
	next()
	v, err := s.hierarchy.Switch(ctx, g, "issuing")
	if err != nil {
		t.Fatal(err)
	}
	published(3)
	for _, i := range v.Issuers {
		if i.State == pki.IssuerEarlier {
			revoke(i)
		}
	}
	published(2)
}
