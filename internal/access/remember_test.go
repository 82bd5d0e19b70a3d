package access_test

import (
	"context"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// A token is read once for many requests; one that another node revokes ends here
// within five seconds, also where the clock is set back.
func TestTokenIsRemembered(t *testing.T) {
	d := newDesk()
	tok, secret := d.make(t)
	other := access.NewTokens(d.store, d.clock.Now) // another node
	for range 3 {
		if _, err := other.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	if d.store.looks != 1 {
		t.Errorf("the store was asked %d times", d.store.looks)
	}
	read := *tok // a store hands out what it read, not what it keeps
	d.store.tokens[0] = &read
	if err := d.Revoke(t.Context(), grant(t, access.TenantAdministrator, "acme"), tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("a moment after: %v", err)
	}
	d.clock.Advance(2 * time.Second)
	if _, err := other.Authenticate(t.Context(), secret); pki.KindOf(err) != pki.Unauthenticated {
		t.Errorf("after two seconds: %v", err)
	}
	back := pandotest.NewClock(d.clock.Now())
	third := access.NewTokens(&cupboard{tokens: []*access.Token{tok}}, back.Now)
	if _, err := third.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	back.Advance(-time.Hour)
	tok.Revoked = d.clock.Now()
	if _, err := third.Authenticate(t.Context(), secret); pki.KindOf(err) != pki.Unauthenticated {
		t.Errorf("with the clock set back: %v", err)
	}
}

// A slowStore answers what it read before the token was revoked.
type slowStore struct {
	*cupboard
	revoke func()
}

func (s *slowStore) TokenByHash(ctx context.Context, hash [32]byte) (*access.Token, error) {
	tok, err := s.cupboard.TokenByHash(ctx, hash)
	if err != nil {
		return nil, err
	}
	read := *tok
	if s.revoke != nil {
		s.revoke()
	}
	return &read, nil
}

// What was read before a token was revoked here is not remembered after it.
func TestTokenRevokedWhileRead(t *testing.T) {
	d := newDesk()
	tok, secret := d.make(t)
	store := &slowStore{cupboard: d.store}
	tokens := access.NewTokens(store, d.clock.Now)
	store.revoke = func() {
		store.revoke = nil
		if err := tokens.Revoke(t.Context(), grant(t, access.TenantAdministrator, "acme"), tok.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := tokens.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("a request that came before: %v", err)
	}
	if _, err := tokens.Authenticate(t.Context(), secret); pki.KindOf(err) != pki.Unauthenticated {
		t.Errorf("one that came after: %v", err)
	}
}
