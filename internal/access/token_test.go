package access_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// A cupboard is a TokenStore in memory.
type cupboard struct {
	tokens []*access.Token
	events []pki.Event
	looks  int      // calls of TokenByHash
	names  []string // of the endpoints that acme has; no other tenant has anything
	err    error    // of every call
}

func (c *cupboard) PutToken(_ context.Context, t *access.Token, e pki.Event) error {
	if c.err == nil {
		c.tokens, c.events = append(c.tokens, t), append(c.events, e)
	}
	return c.err
}

func (c *cupboard) TokenByHash(_ context.Context, hash [32]byte) (*access.Token, error) {
	c.looks++
	if c.err != nil {
		return nil, c.err
	}
	for _, t := range c.tokens {
		if t.Hash == hash {
			return t, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "no such token")
}

func (c *cupboard) Tokens(_ context.Context, tenant pki.TenantID) ([]*access.Token, error) {
	var all []*access.Token
	for _, t := range c.tokens {
		if t.Tenant == tenant {
			all = append(all, t)
		}
	}
	return all, c.err
}

func (c *cupboard) RevokeToken(_ context.Context, tenant pki.TenantID, id pki.TokenID, at time.Time, e pki.Event) error {
	for _, t := range c.tokens {
		if t.Tenant == tenant && t.ID == id {
			t.Revoked, c.events = at, append(c.events, e)
			return c.err
		}
	}
	return pki.Errorf(pki.NotFound, "no such token")
}

func (c *cupboard) Token(_ context.Context, tenant pki.TenantID, id pki.TokenID) (*access.Token, error) {
	for _, t := range c.tokens {
		if t.Tenant == tenant && t.ID == id {
			return t, c.err
		}
	}
	return nil, pki.Errorf(pki.NotFound, "no such token")
}

func (c *cupboard) Roles(_ context.Context, tenant pki.TenantID) ([]*access.OwnRole, error) {
	return nil, c.err
}

func (c *cupboard) Missing(_ context.Context, tenant pki.TenantID, s access.Scope) (string, error) {
	if s.Endpoint != "" && (tenant != "acme" || !slices.Contains(c.names, s.Endpoint)) {
		return "endpoint:" + s.Endpoint, c.err
	}
	return "", c.err
}

// A desk makes tokens at a time that a test sets.
type desk struct {
	*access.Tokens
	store *cupboard
	clock *pandotest.Clock
}

func newDesk() *desk {
	d := &desk{store: &cupboard{names: []string{"firmware", "meter", "rni"}}, clock: pandotest.NewClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))}
	d.Tokens = access.NewTokens(d.store, d.clock.Now)
	return d
}

// grant returns the permit of ManageTokens in a tenant to one with a role.
func grant(t testing.TB, role access.Role, tenant pki.TenantID, endpoints ...string) access.Permit {
	t.Helper()
	who := principal(role)
	if role != access.PlatformOperator {
		who.Tenant = tenant
	}
	who.Grants = access.Given(role, at(endpoints...)...)
	g, err := who.Authorize(access.ManageTokens, tenant)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// at returns the scopes of some endpoints.
func at(endpoints ...string) []access.Scope {
	var all []access.Scope
	for _, e := range endpoints {
		all = append(all, access.Scope{Endpoint: e})
	}
	return all
}

// make makes a factory operator's token in acme.
func (d *desk) make(t testing.TB) (*access.Token, pki.Secret) {
	t.Helper()
	tok, secret, err := d.Create(t.Context(), grant(t, access.TenantAdministrator, "acme"),
		access.NewToken{Name: "line 1", Role: access.FactoryOperator, Scopes: at("meter"), Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return tok, secret
}

func TestToken(t *testing.T) {
	d := newDesk()
	tok, secret := d.make(t)
	text := secret.Reveal()
	if !regexp.MustCompile(`^pando_[A-Za-z0-9_-]{43}[0-9a-f]{8}$`).MatchString(text) {
		t.Errorf("a token has the form %q", text)
	}
	grants := []access.Grant{{ID: tok.Grants[0].ID, Tenant: "acme", Principal: "token:" + string(tok.ID), Role: access.FactoryOperator,
		Scope: access.Scope{Endpoint: "meter"}, Actor: "token:0abc (laptop)", Created: d.clock.Now()}}
	want := &access.Token{ID: tok.ID, Tenant: "acme", Name: "line 1", Grants: grants, Maker: "token:0abc",
		Hash: sha256.Sum256([]byte(text)), Created: d.clock.Now(), Expires: d.clock.Now().Add(time.Hour)}
	if diff := cmp.Diff([]*access.Token{want}, d.store.tokens); diff != "" {
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
	event := pki.Event{Tenant: "acme", At: d.clock.Now(), Actor: "token:0abc (laptop)", Action: "token.create",
		Target: "token:" + string(tok.ID), Detail: "factory-operator on endpoint:meter until 2026-11-22T13:00:00Z"}
	if diff := cmp.Diff([]pki.Event{event}, d.store.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	who, err := d.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	principal := access.Principal{Tenant: "acme", ID: "token:" + string(tok.ID), Name: "line 1", Grants: grants, Expires: tok.Expires, Proofs: pki.ByToken}
	if diff := cmp.Diff(principal, who, cmp.AllowUnexported(access.Principal{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
	if _, again := d.make(t); again.Reveal() == text {
		t.Error("two tokens are the same")
	}
}

// TestTokenIsNotPrinted prints and logs all that Create returns and keeps.
func TestTokenIsNotPrinted(t *testing.T) {
	d := newDesk()
	tok, secret := d.make(t)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "token", tok, "secret", secret, "events", d.store.events)
	for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%+v %#v", secret, secret), fmt.Sprintf("%+v", tok), fmt.Sprintf("%+v", d.store.events), log.String()} {
		if strings.Contains(text, secret.Reveal()) {
			t.Errorf("the token stands in %s", text)
		}
	}
	if got := secret.String(); got != "[secret]" {
		t.Errorf("it prints as %q", got)
	}
}

// TestChecksum: a mistyped token is told without asking the store.
func TestChecksum(t *testing.T) {
	d := newDesk()
	_, secret := d.make(t)
	text := secret.Reveal()
	for i := range text {
		for _, c := range []byte{'A', 'b', '0', '_', ' ', 0, 0x80} {
			if text[i] == c {
				continue
			}
			wrong := text[:i] + string(rune(c)) + text[i+1:]
			if _, err := d.Authenticate(t.Context(), pki.NewSecret(wrong)); pki.KindOf(err) != pki.Unauthenticated {
				t.Fatalf("with %q at %d: %v", c, i, err)
			}
		}
	}
	for _, wrong := range []string{"", "pando_", text[:len(text)-1], text + "0", " " + text, text + "\n", strings.ToUpper(text), strings.Repeat("pando_", 1<<16)} {
		if _, err := d.Authenticate(t.Context(), pki.NewSecret(wrong)); pki.KindOf(err) != pki.Unauthenticated {
			t.Errorf("%.80q: %v", wrong, err)
		}
	}
	if d.store.looks != 0 {
		t.Errorf("the store was asked %d times", d.store.looks)
	}
	// A well-formed one that nobody made is refused in the same words.
	_, stranger := newDesk().make(t)
	_, unknown := d.Authenticate(t.Context(), stranger)
	_, mistyped := d.Authenticate(t.Context(), pki.NewSecret("x"))
	if pki.KindOf(unknown) != pki.Unauthenticated || pki.DetailOf(unknown) != pki.DetailOf(mistyped) || d.store.looks != 1 {
		t.Errorf("unknown: %v; mistyped: %v", unknown, mistyped)
	}
}

func TestTokenExpires(t *testing.T) {
	d := newDesk()
	_, secret := d.make(t)
	for _, step := range []struct {
		later time.Duration
		valid bool
	}{
		{0, true},
		{time.Hour - time.Microsecond, true},
		{time.Microsecond, false}, // the moment itself
		{100 * 365 * 24 * time.Hour, false},
	} {
		d.clock.Advance(step.later)
		_, err := d.Authenticate(t.Context(), secret)
		if (err == nil) != step.valid {
			t.Errorf("at %s: %v", d.clock.Now(), err)
		}
		if !step.valid && (pki.KindOf(err) != pki.Unauthenticated || !strings.Contains(pki.DetailOf(err), "expired at 2026-11-22T13:00:00Z")) {
			t.Errorf("it does not say that it expired: %v", err)
		}
	}
}

func TestTokenRevoked(t *testing.T) {
	d := newDesk()
	tok, secret := d.make(t)
	if err := d.Revoke(t.Context(), grant(t, access.TenantAdministrator, "globex"), tok.ID); pki.KindOf(err) != pki.NotFound {
		t.Errorf("revoked in another tenant: %v", err)
	}
	if err := d.Revoke(t.Context(), access.Permit{}, tok.ID); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("revoked without a grant: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), secret); err != nil {
		t.Fatalf("after what was refused: %v", err)
	}
	if err := d.Revoke(t.Context(), grant(t, access.TenantAdministrator, "acme"), tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), secret); pki.KindOf(err) != pki.Unauthenticated || strings.Contains(pki.DetailOf(err), "revoked") {
		t.Errorf("a revoked one: %v", err)
	}
	last := d.store.events[len(d.store.events)-1]
	if want := (pki.Event{Tenant: "acme", At: d.clock.Now(), Actor: "token:0abc (laptop)", Action: "token.revoke", Target: "token:" + string(tok.ID)}); last != want {
		t.Errorf("event %+v, want %+v", last, want)
	}
}

// TestStoreFails: that the store does not answer is no statement about the token.
func TestStoreFails(t *testing.T) {
	d := newDesk()
	_, secret := d.make(t)
	d.store.err = errors.New("disk I/O error")
	if _, err := d.Authenticate(t.Context(), secret); pki.KindOf(err) == pki.Unauthenticated || strings.Contains(pki.DetailOf(err), "disk") {
		t.Errorf("authenticate: %v", err)
	}
	if _, _, err := d.Create(t.Context(), grant(t, access.TenantAdministrator, "acme"), access.NewToken{Name: "x", Role: access.Auditor}); !errors.Is(err, d.store.err) {
		t.Errorf("create: %v", err)
	}
	if _, _, err := d.First(t.Context()); !errors.Is(err, d.store.err) {
		t.Errorf("first: %v", err)
	}
}

func TestCreate(t *testing.T) {
	admin, operator := grant(t, access.TenantAdministrator, "acme"), grant(t, access.PlatformOperator, pki.Platform)
	bound := grant(t, access.TenantAdministrator, "acme", "meter", "rni")
	narrow := principal(access.TenantAdministrator)
	narrow.Grants = append(access.Given("own"), access.Given(access.Auditor)...)
	narrow.Grants[0].Own = []access.Permission{access.ManageTokens}
	tokensAlone, err := narrow.Authorize(access.ManageTokens, "acme")
	if err != nil {
		t.Fatal(err)
	}
	auditor, err := principal(access.Auditor).Authorize(access.ReadEvents, "acme")
	if err != nil {
		t.Fatal(err)
	}
	system, err := access.System("acme", "batch").Authorize(access.ManageTokens, "acme")
	if err != nil {
		t.Fatal(err)
	}
	many := slices.Repeat([]string{"meter"}, access.MaxGrants+1)
	for i := range many {
		many[i] += strconv.Itoa(i)
	}
	const ok = pki.Internal
	tests := []struct {
		name  string
		grant access.Permit
		token access.NewToken
		want  pki.Kind // ok is none
	}{
		{"by an administrator", admin, access.NewToken{Name: "x", Role: access.TenantAdministrator}, ok},
		{"by the platform, in a tenant", grant(t, access.PlatformOperator, "acme"), access.NewToken{Name: "x", Role: access.TenantAdministrator}, ok},
		{"by the platform, on the platform", operator, access.NewToken{Name: "x", Role: access.PlatformOperator}, ok},
		{"the shortest", admin, access.NewToken{Name: "x", Role: access.Auditor, Life: time.Minute}, ok},
		{"the longest", admin, access.NewToken{Name: strings.Repeat("x", 100), Role: access.Auditor, Life: access.MaxTokenLife}, ok},
		{"an auditor for an endpoint", admin, access.NewToken{Name: "x", Role: access.Auditor, Scopes: at("meter")}, ok},
		{"for a smaller scope than one's own", bound, access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: []access.Scope{{Endpoint: "rni", Site: "berlin"}}}, ok},
		{"for a larger scope than one's own", bound, access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: []access.Scope{{Site: "berlin"}}}, pki.Forbidden},
		{"within one's own endpoints", bound, access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: at("rni")}, ok},

		{"what one has oneself", tokensAlone, access.NewToken{Name: "x", Role: access.Auditor}, ok},
		{"more than one has oneself", tokensAlone, access.NewToken{Name: "x", Role: access.RAOperator}, pki.Forbidden},
		{"without a grant", access.Permit{}, access.NewToken{Name: "x", Role: access.Auditor}, pki.Forbidden},
		{"with another grant", auditor, access.NewToken{Name: "x", Role: access.Auditor}, pki.Forbidden},
		{"by pando itself", system, access.NewToken{Name: "x", Role: access.Auditor}, pki.Forbidden},
		{"without a role", admin, access.NewToken{Name: "x"}, pki.Malformed},
		{"of an unknown role", admin, access.NewToken{Name: "x", Role: "root"}, pki.Malformed},
		{"a platform operator in a tenant", admin, access.NewToken{Name: "x", Role: access.PlatformOperator}, pki.Malformed},
		{"a platform operator in a tenant, by one", grant(t, access.PlatformOperator, "acme"), access.NewToken{Name: "x", Role: access.PlatformOperator}, pki.Malformed},
		{"somebody else by the platform, in a tenant", grant(t, access.PlatformOperator, "acme"), access.NewToken{Name: "x", Role: access.Auditor}, pki.Forbidden},
		{"an administrator of a part by the platform", grant(t, access.PlatformOperator, "acme"), access.NewToken{Name: "x", Role: access.TenantAdministrator, Scopes: at("meter")}, pki.Forbidden},
		{"a tenant's role on the platform", operator, access.NewToken{Name: "x", Role: access.TenantAdministrator}, pki.Malformed},
		{"without a name", admin, access.NewToken{Role: access.Auditor}, pki.Malformed},
		{"with a long name", admin, access.NewToken{Name: strings.Repeat("x", 101), Role: access.Auditor}, pki.Malformed},
		{"with two lines of name", admin, access.NewToken{Name: "x\ny", Role: access.Auditor}, pki.Malformed},
		{"too short", admin, access.NewToken{Name: "x", Role: access.Auditor, Life: time.Minute - 1}, pki.Malformed},
		{"expired at birth", admin, access.NewToken{Name: "x", Role: access.Auditor, Life: -time.Hour}, pki.Malformed},
		{"too long", admin, access.NewToken{Name: "x", Role: access.Auditor, Life: access.MaxTokenLife + 1}, pki.Malformed},
		{"for too many endpoints", admin, access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: at(many...)}, pki.Malformed},
		{"for a list of no endpoints", admin, access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: []access.Scope{}}, pki.Malformed},
		{"for an endpoint twice", admin, access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: at("meter", "rni", "meter")}, pki.Malformed},
		{"for an endpoint that is not there", admin, access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: at("meter", "metre")}, pki.Malformed},
		{"for another tenant's endpoint", grant(t, access.TenantAdministrator, "globex"), access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: at("meter")}, pki.Malformed},
		{"a platform operator for an endpoint", operator, access.NewToken{Name: "x", Role: access.PlatformOperator, Scopes: at("meter")}, pki.Malformed},
		{"beyond one's own endpoints", bound, access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: at("rni", "firmware")}, pki.Forbidden},
		{"for all endpoints by one who is bound", bound, access.NewToken{Name: "x", Role: access.TenantAdministrator}, pki.Forbidden},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk()
			tok, secret, err := d.Create(t.Context(), test.grant, test.token)
			if test.want == ok {
				if err != nil || secret.IsZero() || tok.Tenant != test.grant.Tenant() || len(d.store.events) != 1 {
					t.Errorf("%v, tenant %q, %d events", err, tok.Tenant, len(d.store.events))
				}
				return
			}
			if err == nil || pki.KindOf(err) != test.want || !secret.IsZero() || len(d.store.tokens) > 0 {
				t.Errorf("%v, want %s and no token", err, test.want)
			}
		})
	}
}

// TestUnknownScopeIsNamed: the refusal says which name is wrong.
func TestUnknownScopeIsNamed(t *testing.T) {
	_, _, err := newDesk().Create(t.Context(), grant(t, access.TenantAdministrator, "acme"),
		access.NewToken{Name: "x", Role: access.FactoryOperator, Scopes: at("meter", "metre")})
	if got, want := pki.DetailOf(err), "scope endpoint:metre: the tenant has no endpoint:metre; make it first, or correct its name"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDefaultLife(t *testing.T) {
	d := newDesk()
	tok, _, err := d.Create(t.Context(), grant(t, access.TenantAdministrator, "acme"), access.NewToken{Name: "x", Role: access.Auditor})
	if err != nil || !tok.Expires.Equal(d.clock.Now().Add(access.DefaultTokenLife)) {
		t.Errorf("%v, expires %s", err, tok.Expires)
	}
}

// TestOperatorInATenant: a platform operator ends tokens of administrators, and sees no
// others.
func TestOperatorInATenant(t *testing.T) {
	d := newDesk()
	line, _ := d.make(t)
	operator := grant(t, access.PlatformOperator, "acme")
	admin, _, err := d.Create(t.Context(), operator, access.NewToken{Name: "x", Role: access.TenantAdministrator})
	if err != nil {
		t.Fatal(err)
	}
	all, err := d.List(t.Context(), operator)
	if err != nil || len(all) != 1 || all[0].ID != admin.ID {
		t.Errorf("%v, %v", all, err)
	}
	if err := d.Revoke(t.Context(), operator, line.ID); pki.KindOf(err) != pki.Forbidden || err == nil {
		t.Errorf("another's token: %v", err)
	}
	if err := d.Revoke(t.Context(), operator, admin.ID); err != nil {
		t.Error(err)
	}
}

func TestList(t *testing.T) {
	d := newDesk()
	d.make(t)
	for tenant, want := range map[pki.TenantID]int{"acme": 1, "globex": 0} {
		all, err := d.List(t.Context(), grant(t, access.TenantAdministrator, tenant))
		if err != nil || len(all) != want {
			t.Errorf("%s has %d tokens, %v, want %d", tenant, len(all), err, want)
		}
	}
	if all, err := d.List(t.Context(), access.Permit{}); pki.KindOf(err) != pki.Forbidden || all != nil {
		t.Errorf("without a grant: %v", err)
	}
}

func TestFirst(t *testing.T) {
	d := newDesk()
	d.make(t) // of a tenant: no platform operator
	tok, secret, err := d.First(t.Context())
	if err != nil || access.GrantsText(tok.Grants) != "platform-operator" || tok.Tenant != pki.Platform {
		t.Fatalf("%+v, %v", tok, err)
	}
	if who, err := d.Authenticate(t.Context(), secret); err != nil || access.GrantsText(who.Grants) != "platform-operator" {
		t.Errorf("%v, %v", who, err)
	}
	if _, _, err := d.First(t.Context()); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a second first one: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("the first one after it: %v", err)
	}
}

// FuzzAuthenticate: no text but the token's own is let in, and none but those of
// its form reaches the store.
func FuzzAuthenticate(f *testing.F) {
	d := newDesk()
	_, secret := d.make(f)
	form := regexp.MustCompile(`\Apando_.{51}\z`)
	for _, text := range []string{"", "pando_", secret.Reveal(), secret.Reveal()[1:], strings.Repeat("p", 57)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		store := &cupboard{tokens: d.store.tokens}
		who, err := access.NewTokens(store, d.clock.Now).Authenticate(context.Background(), pki.NewSecret(text))
		switch {
		case text == secret.Reveal():
			if err != nil {
				t.Error(err)
			}
		case pki.KindOf(err) != pki.Unauthenticated || who.ID != "":
			t.Errorf("%q: %v", text, err)
		case store.looks > 0 && (len(text) != 57 || !form.MatchString(text)):
			t.Errorf("the store was asked for %q", text)
		case len(text) >= 20 && strings.Contains(err.Error(), text):
			t.Errorf("the error repeats the text: %v", err)
		}
	})
}

func (c *cupboard) Parent(_ context.Context, child pki.TenantID) (pki.TenantID, error) {
	switch child {
	case "oem":
		return "acme", nil
	case "globex":
		return "", nil
	}
	return "", pki.Errorf(pki.NotFound, "no tenant %q", child)
}

// TestAppoint: a parent makes the administrators of its children, and of nobody else.
func TestAppoint(t *testing.T) {
	d := newDesk()
	g, err := principal(access.TenantAdministrator).Authorize(access.ManageChildren, "acme")
	if err != nil {
		t.Fatal(err)
	}
	tok, secret, err := d.Appoint(t.Context(), g, "oem", "first administrator", 0)
	if err != nil {
		t.Fatal(err)
	}
	who, err := d.Authenticate(t.Context(), secret)
	if err != nil || who.Tenant != "oem" || tok.Maker != "tenant:acme" {
		t.Fatal(who, tok, err)
	}
	if _, err := who.Authorize(access.ManageTokens, "oem"); err != nil {
		t.Error(err)
	}
	if _, err := who.Authorize(access.ManageTokens, "acme"); pki.KindOf(err) != pki.NotFound {
		t.Errorf("the child's administrator in the parent: %v", err)
	}
	if _, err := principal(access.TenantAdministrator).Authorize(access.ManageTokens, "oem"); pki.KindOf(err) != pki.NotFound {
		t.Errorf("the parent's administrator in the child: %v", err)
	}
	if e := d.store.events[len(d.store.events)-1]; e.Tenant != "acme" || e.Actor != "token:0abc (laptop)" {
		t.Errorf("the event is %+v", e)
	}
	other, err := principal(access.TenantAdministrator).Authorize(access.ManageQuotas, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for child, test := range map[pki.TenantID]struct {
		permit access.Permit
		want   pki.Kind
	}{"globex": {g, pki.NotFound}, "nobody": {g, pki.NotFound}, "acme": {g, pki.NotFound}, "oem": {other, pki.Forbidden}} {
		if _, _, err := d.Appoint(t.Context(), test.permit, child, "x", 0); pki.KindOf(err) != test.want {
			t.Errorf("%s: %v", child, err)
		}
	}
}
