package restapi

import (
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
		Revocation: s.Revocation, Status: s.Store, Alarms: s.Alarms, Registry: s.Registry, Version: "test", Logger: slog.New(slog.DiscardHandler)}))
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
