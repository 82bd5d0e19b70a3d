package restapi

import (
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestTokenExpires: a token that was good a moment ago is refused when its time is
// over, also by a server that remembers it.
func TestTokenExpires(t *testing.T) {
	clock := pandotest.NewClock(pandotest.Now())
	s := stack.New(t, stack.Config{Now: clock.Now})
	s.AddTenant(t, "acme")
	_, secret, err := s.Tokens.Create(t.Context(), s.Permit(t, "acme", access.ManageTokens),
		access.NewToken{Name: "short", Role: access.Auditor, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(New(Config{Tokens: s.Tokens, Hierarchy: s.Hierarchy, Enroll: s.Enroll, Batch: s.Batch,
		Revocation: s.Revocation, Status: s.Store, Alarms: s.Alarms, Registry: s.Registry, Version: "test", Now: s.Now, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{Server: srv.URL, Token: client.TokenOf(secret.Reveal()), HTTPClient: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		later time.Duration
		want  string // kind; "" is none
	}{{0, ""}, {time.Hour - time.Second, ""}, {time.Second, pki.Unauthenticated.String()}, {time.Hour, pki.Unauthenticated.String()}} {
		clock.Advance(step.later)
		_, err := c.WhoAmI(t.Context())
		if got := kindOf(err); got != step.want {
			t.Errorf("at %s: %v, want %q", clock.Now(), err, step.want)
		}
	}
}

// TestExpiredStatus: one word says the status of a certificate that has expired, wherever
// it is asked for; a hold goes before it until it is released.
func TestExpiredStatus(t *testing.T) {
	clock := pandotest.NewClock(pandotest.Now())
	s := stack.New(t, stack.Config{Now: clock.Now})
	s.AddTenant(t, "acme", "tls-server")
	srv := httptest.NewTLSServer(New(Config{Tokens: s.Tokens, Hierarchy: s.Hierarchy, Enroll: s.Enroll, Revocation: s.Revocation, Status: s.Store,
		Registry: s.Registry, Trace: s.Trace, Version: "test", Now: s.Now, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(srv.Close)
	m := &matrix{stack: s, url: srv.URL, http: srv.Client()}
	dial := func() *client.Client {
		return must(client.New(client.Config{Server: srv.URL, Token: m.token(t, "acme", access.TenantAdministrator), HTTPClient: srv.Client()}))(t)
	}
	ctx, c := t.Context(), dial()
	csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "head-end.example.com"}, "head-end.example.com")
	x := must(c.Enroll(ctx, client.Enrollment{Endpoint: "tls-server", CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))}, ""))(t)
	must(c.Revoke(ctx, x.Issuer, x.Serial, "certificateHold"))(t)
	for _, step := range []struct {
		until   time.Time
		release bool
		want    string
	}{{clock.Now(), false, client.Held}, {x.NotAfter.Add(time.Second), false, client.Held}, {x.NotAfter.Add(time.Second), true, client.Expired}} {
		clock.Advance(step.until.Sub(clock.Now()))
		c := dial() // the token of before has expired, too
		said := make(map[string]string)
		if step.release {
			said["release"] = must(c.Release(ctx, x.Issuer, x.Serial))(t).State
		}
		said["show"] = must(c.Certificate(ctx, x.Issuer, x.Serial))(t).Status.State
		said["trace"] = must(c.TraceCertificate(ctx, x.Issuer, x.Serial))(t).Certificate.Status.State
		said["list"] = must(c.Certificates(ctx, client.CertificateQuery{Serial: x.Serial}, "", 1))(t).Items[0].Status.State
		for who, state := range said {
			if state != step.want {
				t.Errorf("at %s %s says %s, want %s", clock.Now(), who, state, step.want)
			}
		}
	}
}

// kindOf returns the kind of a refusal, or "".
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	if p, ok := errors.AsType[*client.Problem](err); ok {
		return p.Kind
	}
	return err.Error()
}
