package server

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/trust"
)

// certificatesStored returns how many certificates there are, of all tenants, but for the
// server's own.
func certificatesStored(t *testing.T, s *Server) int {
	t.Helper()
	all, _, err := s.store.ScanCertificates(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range all {
		switch c.Profile.Name {
		case policy.ResponderProfile, "scep-signer", "scep-recipient", "tls-server": // the server's own, made when they are due
		default:
			n++
		}
	}
	return n
}

// TestESTRefusals: each bad request has the wire's code and a reason, and leaves
// nothing issued; a good one then still is.
func TestESTRefusals(t *testing.T) {
	s, st, meter, own := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "no-est", Authority: "issuing", Profile: "meter"}); err != nil {
		t.Fatal(err)
	}
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}, {Endpoint: "no-est"}}})
	nobody := meter
	nobody.chain = nil
	revoked := meter
	revoked.key = pandotest.Key(t, pki.P256)
	got, err := s.enroll.Enroll(t.Context(), enroll.Request{Grant: st.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, revoked.key, meterSubject("SM-2"))}})
	if err != nil {
		t.Fatal(err)
	}
	revoked.chain = [][]byte{got.Certificate.DER, meter.chain[1]}
	if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), got.Certificate.Issuer, got.Certificate.Serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	_, secret, err := s.tokens.Create(t.Context(), st.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: "ra", Role: access.RAOperator})
	if err != nil {
		t.Fatal(err)
	}
	basic := func(n enrolauth.NewSecret) func(user, suffix string) []string {
		made, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), n)
		if err != nil {
			t.Fatal(err)
		}
		return func(user, suffix string) []string {
			return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(cmp.Or(user, string(made.ID))+":"+text.Reveal()+suffix))}
		}
	}
	anybody, one := basic(enrolauth.NewSecret{Endpoint: "meter"}), basic(enrolauth.NewSecret{Endpoint: "meter", Device: "SM-4", Once: true})
	elsewhere := basic(enrolauth.NewSecret{Endpoint: "no-est"})
	stored := certificatesStored(t, s)

	enrols, renews := estPath("acme.meter", "simpleenroll"), estPath("acme.meter", "simplereenroll")
	fresh := func(device string) []byte { return []byte(csrOf(t, pandotest.Key(t, pki.P256), device)) }
	b64 := func(der []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(der)) }
	old := pandotest.Parse(t, own.DER)
	another := *old
	another.RawSubject = pandotest.Parse(t, got.Certificate.DER).RawSubject
	type call struct {
		by      caller
		method  string
		path    string
		body    []byte
		headers []string
		status  int
	}
	calls := map[string]call{
		"nobody":                      {nobody, "POST", enrols, fresh("SM-1"), nil, 401},
		"nobody renews":               {nobody, "POST", renews, fresh("SM-1"), nil, 401},
		"a wrong token":               {nobody, "POST", enrols, fresh("SM-1"), []string{"Authorization", "Bearer pando_x"}, 401},
		"an unknown scheme":           {nobody, "POST", enrols, fresh("SM-1"), []string{"Authorization", "Digest x"}, 401},
		"a wrong password":            {nobody, "POST", enrols, fresh("SM-4"), anybody("", "x"), 401},
		"another's user name":         {nobody, "POST", enrols, fresh("SM-4"), one("SM-5", ""), 401},
		"another endpoint's secret":   {nobody, "POST", enrols, fresh("SM-4"), elsewhere("", ""), 401},
		"another device's secret":     {nobody, "POST", enrols, fresh("SM-5"), one("", ""), 403},
		"a secret and another device": {meter, "POST", enrols, fresh("SM-4"), one("", ""), 401},
		"a secret renews nothing":     {nobody, "POST", renews, fresh("SM-4"), anybody("", ""), 403},
		"a revoked certificate":       {revoked, "POST", enrols, fresh("SM-2"), nil, 401},
		"a revoked one renews":        {revoked, "POST", renews, goesOn(t, pandotest.Parse(t, got.Certificate.DER), pandotest.Key(t, pki.P256)), nil, 401},
		"another content type":        {meter, "POST", enrols, fresh("SM-1"), []string{"Content-Type", "application/json"}, 415},
		"garbage base64":              {meter, "POST", enrols, []byte("!!!!"), nil, 400},
		"garbage DER":                 {meter, "POST", enrols, b64([]byte("garbage")), nil, 400},
		"nothing":                     {meter, "POST", enrols, []byte{}, []string{"Content-Type", "application/pkcs10"}, 400},
		"too much":                    {meter, "POST", enrols, bytes.Repeat([]byte("A"), 1<<20), nil, 413},
		"another's device":            {meter, "POST", enrols, fresh("SM-3"), nil, 403},
		"its key again":               {meter, "POST", enrols, []byte(csrOf(t, meter.key, "SM-1")), nil, 409},
		"renewal of another subject":  {meter, "POST", renews, goesOn(t, &another, pandotest.Key(t, pki.P256)), nil, 403},
		"renewal with its key":        {meter, "POST", renews, goesOn(t, old, meter.key), nil, 409},
		"a kind of key not allowed":   {meter, "POST", enrols, []byte(csrOf(t, pandotest.Key(t, pki.P384), "SM-1")), nil, 400},
		"an unknown label":            {meter, "POST", estPath("acme.nowhere", "simpleenroll"), fresh("SM-1"), nil, 403},
		"another tenant's label":      {meter, "POST", estPath("globex.meter", "simpleenroll"), fresh("SM-1"), nil, 401},
		"no label, and no default":    {meter, "POST", "/.well-known/est/simpleenroll", fresh("SM-1"), nil, 404},
		"a label that is none":        {meter, "POST", estPath("meter", "simpleenroll"), fresh("SM-1"), nil, 404},
		"EST is off":                  {meter, "POST", estPath("acme.no-est", "simpleenroll"), fresh("SM-1"), nil, 403},
		"cacerts where EST is off":    {nobody, "GET", estPath("acme.no-est", "cacerts"), nil, nil, 404},
		"cacerts of an unknown label": {nobody, "GET", estPath("acme.nowhere", "cacerts"), nil, nil, 404},
		"an empty label":              {meter, "POST", "/.well-known/est//simpleenroll", fresh("SM-1"), nil, 404},
		"a path with //":              {meter, "POST", "/.well-known/est/acme.meter//simpleenroll", fresh("SM-1"), nil, 404},
		"a path with ..":              {meter, "POST", "/.well-known/est/acme.none/../acme.meter/simpleenroll", fresh("SM-1"), nil, 404},
		"a path that leads to EST":    {nobody, "GET", "/api/../.well-known/est/acme.meter/cacerts", nil, nil, 404},
		"full CMC":                    {meter, "POST", estPath("acme.meter", "fullcmc"), fresh("SM-1"), nil, 404},
		"a wrong method":              {meter, "GET", enrols, nil, nil, 405},
		"cacerts by POST":             {meter, "POST", estPath("acme.meter", "cacerts"), fresh("SM-1"), nil, 405},
	}
	for _, bad := range pandotest.BadCSRs(t) {
		if len(bad.DER) < 1<<16 && len(bad.DER) > 0 {
			calls["a CSR that is "+bad.Name] = call{nobody, "POST", enrols, b64(bad.DER), []string{"Authorization", "Bearer " + secret.Reveal()}, 400}
		}
	}
	for what, c := range calls {
		answer := c.by.est(c.method, c.path, c.body, c.headers...)
		text := make([]byte, 400)
		n, _ := answer.Body.Read(text)
		if answer.StatusCode != c.status || n == 0 || answer.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %q (%s), want %d", what, answer.StatusCode, text[:n], answer.Header.Get("Content-Type"), c.status)
		}
		if got := answer.Header.Get("WWW-Authenticate") != ""; got != (c.status == 401) {
			t.Errorf("%s: WWW-Authenticate %q", what, answer.Header.Get("WWW-Authenticate"))
		}
	}
	if _, err := s.quotas.Set(t.Context(), st.Permit(t, "acme", access.ManageQuotas), quota.Target{Kind: quota.Tenant}, 1); err != nil {
		t.Fatal(err)
	}
	if answer := meter.est("POST", enrols, fresh("SM-1")); answer.StatusCode != http.StatusForbidden {
		t.Errorf("over the quota: %s", answer.Status)
	}
	if now := certificatesStored(t, s); now != stored {
		t.Errorf("%d certificates are there, %d were", now, stored)
	}
	if _, err := s.quotas.Set(t.Context(), st.Permit(t, "acme", access.ManageQuotas), quota.Target{Kind: quota.Tenant}, 100); err != nil {
		t.Fatal(err)
	}
	certificates(t, meter.est("POST", enrols, fresh("SM-1")))
	certificates(t, nobody.est("POST", enrols, fresh("SM-6"), anybody("", "")...))
	once := fresh("SM-4")
	first := certificates(t, nobody.est("POST", enrols, once, one("SM-4", "")...))[0]
	if again := certificates(t, nobody.est("POST", enrols, once, one("SM-4", "")...))[0]; !again.Equal(first) {
		t.Error("a secret that is good for one certificate gave two")
	}
	if answer := nobody.est("POST", enrols, fresh("SM-4"), one("SM-4", "")...); answer.StatusCode != http.StatusConflict {
		t.Errorf("a secret that was used, with another request: %s", answer.Status)
	}
	if now := certificatesStored(t, s); now != stored+3 {
		t.Errorf("%d certificates are there, %d were, and three were issued", now, stored)
	}
}
