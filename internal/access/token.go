package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Token is an API token as it is kept: without its secret.
type Token struct {
	ID        pki.TokenID
	Tenant    pki.TenantID
	Name      string
	Role      Role
	Endpoints []string // scope: names of endpoints; empty is all of the tenant
	Hash      [32]byte // SHA-256 of the whole token text
	Created   time.Time
	Expires   time.Time
	Revoked   time.Time // zero while it holds
}

// TokenStore keeps tokens. Each change stores its event in the same transaction.
type TokenStore interface {
	PutToken(ctx context.Context, t *Token, e pki.Event) error
	// TokenByHash returns the token with the given hash, or a NotFound error. It
	// is the one look-up without a tenant: the tenant comes from it.
	TokenByHash(ctx context.Context, hash [32]byte) (*Token, error)
	Tokens(ctx context.Context, tenant pki.TenantID) ([]*Token, error)
	// RevokeToken sets the time of revocation; NotFound where the tenant has no
	// such token.
	RevokeToken(ctx context.Context, tenant pki.TenantID, id pki.TokenID, at time.Time, e pki.Event) error
	// Endpoints returns the tenant's endpoints, in order of name.
	Endpoints(ctx context.Context, tenant pki.TenantID) ([]*pki.Endpoint, error)
}

// Tokens makes, checks and revokes API tokens.
type Tokens struct {
	store  TokenStore
	now    pki.Clock
	recent memory
}

// NewTokens returns Tokens over the given store.
func NewTokens(store TokenStore, now pki.Clock) *Tokens { return &Tokens{store: store, now: now} }

// The longest life of a token, and the one it has where none is asked for.
const (
	MaxTokenLife     = 2 * 365 * 24 * time.Hour
	DefaultTokenLife = 90 * 24 * time.Hour
)

// MaxTokenEndpoints is the largest number of endpoints that a token is bound to.
const MaxTokenEndpoints = 100

// NewToken is what is asked for when a token is created.
type NewToken struct {
	Name      string
	Role      Role
	Endpoints []string      // names of the endpoints it is bound to, which exist; nil is all of the tenant
	Life      time.Duration // 0 is DefaultTokenLife; at most MaxTokenLife
}

// Create makes a token in the permit's tenant and returns it with its secret
// text, which is not kept and cannot be had again. Nobody grants more than they
// have: only a platform operator makes platform operators, and one who is bound to
// endpoints makes tokens for these alone.
func (t *Tokens) Create(ctx context.Context, g Permit, n NewToken) (*Token, pki.Secret, error) {
	if err := g.Check(ManageTokens); err != nil {
		return nil, pki.Secret{}, err
	}
	if err := g.checkScope(n.Endpoints); err != nil {
		return nil, pki.Secret{}, err
	}
	return t.create(ctx, g.tenant, g.Actor(), g.principal.Role, n)
}

// First makes the deployment's first platform operator, or its next where every
// earlier one's token has ended. It fails with Conflict where one still holds.
func (t *Tokens) First(ctx context.Context) (*Token, pki.Secret, error) {
	have, err := t.store.Tokens(ctx, pki.Platform)
	if err != nil {
		return nil, pki.Secret{}, err
	}
	now := t.now()
	if slices.ContainsFunc(have, func(tok *Token) bool { return tok.Revoked.IsZero() && now.Before(tok.Expires) }) {
		return nil, pki.Secret{}, pki.Errorf(pki.Conflict, "the deployment has a platform operator already")
	}
	return t.create(ctx, pki.Platform, "system:init", PlatformOperator,
		NewToken{Name: "first platform operator", Role: PlatformOperator})
}

func (t *Tokens) create(ctx context.Context, tenant pki.TenantID, actor string, by Role, n NewToken) (*Token, pki.Secret, error) {
	none := pki.Secret{}
	if n.Life == 0 {
		n.Life = DefaultTokenLife
	}
	switch {
	case !slices.Contains(Roles(), n.Role):
		return nil, none, pki.Errorf(pki.Malformed, "role %.40q: it is one of %v", n.Role, Roles())
	case (n.Role == PlatformOperator) != (tenant == pki.Platform):
		return nil, none, pki.Errorf(pki.Malformed, "a %s belongs to %s", n.Role, map[bool]string{true: "the platform, not to a tenant", false: "a tenant"}[n.Role == PlatformOperator])
	case len(n.Endpoints) > 0 && n.Role != FactoryOperator:
		return nil, none, pki.Errorf(pki.Malformed, "only a %s can be limited to endpoints", FactoryOperator)
	case by != PlatformOperator && by != TenantAdministrator:
		return nil, none, pki.Errorf(pki.Forbidden, "the role %s grants no roles", orNone(by))
	case n.Name == "" || len(n.Name) > 100 || strings.ContainsFunc(n.Name, func(r rune) bool { return r < ' ' }):
		return nil, none, pki.Errorf(pki.Malformed, "a token has a name of 1 to 100 characters that says whose it is")
	case n.Life < time.Minute || n.Life > MaxTokenLife:
		return nil, none, pki.Errorf(pki.Malformed, "a token lives for a minute at least and for %d days at most", MaxTokenLife/(24*time.Hour))
	}
	if n.Endpoints != nil {
		if err := t.checkEndpoints(ctx, tenant, n.Endpoints); err != nil {
			return nil, none, err
		}
	}
	now := t.now().UTC()
	secret := newSecret()
	tok := &Token{
		ID: pki.TokenID(pki.NewID(now)), Tenant: tenant, Name: n.Name, Role: n.Role, Endpoints: n.Endpoints,
		Hash: sha256.Sum256([]byte(secret.Reveal())), Created: now, Expires: now.Add(n.Life),
	}
	event := pki.Event{Tenant: tenant, At: now, Actor: actor, Action: "token.create",
		Target: "token:" + string(tok.ID), Detail: string(tok.Role) + " until " + tok.Expires.Format(time.RFC3339)}
	if err := t.store.PutToken(ctx, tok, event); err != nil {
		return nil, none, err
	}
	return tok, secret, nil
}

// checkEndpoints checks what a token is to be bound to. A list without names is
// refused, since a token that is bound to none of them would be good for all. So
// is an endpoint that is not there: a misspelt name would bind the token to
// whatever gets that name later.
func (t *Tokens) checkEndpoints(ctx context.Context, tenant pki.TenantID, names []string) error {
	switch {
	case len(names) == 0:
		return pki.Errorf(pki.Malformed, "the list of endpoints is empty: leave it out for a token that is good for all of the tenant, or name endpoints")
	case len(names) > MaxTokenEndpoints:
		return pki.Errorf(pki.Malformed, "a token is bound to %d endpoints at most", MaxTokenEndpoints)
	}
	all, err := t.store.Endpoints(ctx, tenant)
	if err != nil {
		return err
	}
	for i, name := range names {
		if err := pki.CheckSlug("endpoint", name); err != nil {
			return err
		}
		if slices.Contains(names[:i], name) {
			return pki.Errorf(pki.Malformed, "endpoint %q stands twice", name)
		}
		if !slices.ContainsFunc(all, func(ep *pki.Endpoint) bool { return ep.Name == name }) {
			return pki.Errorf(pki.Malformed, "tenant %s has no endpoint %q; it has %s", tenant, name, someOf(all))
		}
	}
	return nil
}

// someOf names the first endpoints of a list, for people.
func someOf(all []*pki.Endpoint) string {
	const most = 20
	if len(all) == 0 {
		return "none"
	}
	var names []string
	for _, ep := range all[:min(len(all), most)] {
		names = append(names, ep.Name)
	}
	text := strings.Join(names, ", ")
	if len(all) > most {
		text += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return text
}

// List returns the tokens of the permit's tenant, newest first.
func (t *Tokens) List(ctx context.Context, g Permit) ([]*Token, error) {
	if err := g.Check(ManageTokens); err != nil {
		return nil, err
	}
	return t.store.Tokens(ctx, g.tenant)
}

// Revoke ends a token of the permit's tenant: here at once, on other nodes within
// five seconds.
func (t *Tokens) Revoke(ctx context.Context, g Permit, id pki.TokenID) error {
	if err := g.Check(ManageTokens); err != nil {
		return err
	}
	now := t.now().UTC()
	defer t.recent.forget() // also after an error, which may mean that the outcome is unknown
	return t.store.RevokeToken(ctx, g.tenant, id, now, pki.Event{Tenant: g.tenant, At: now,
		Actor: g.Actor(), Action: "token.revoke", Target: "token:" + string(id)})
}

// Authenticate returns the principal that holds the token text. A text that is
// no token of ours, unknown, expired or revoked is an Unauthenticated error that
// does not say which, but for expiry.
func (t *Tokens) Authenticate(ctx context.Context, text pki.Secret) (Principal, error) {
	refused := pki.Errorf(pki.Unauthenticated, "the API token is not valid here; make one with 'pando token create'")
	if !wellFormed(text.Reveal()) {
		return Principal{}, refused
	}
	tok, err := t.byHash(ctx, sha256.Sum256([]byte(text.Reveal())))
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return Principal{}, refused
	case err != nil:
		return Principal{}, err
	case !tok.Revoked.IsZero():
		return Principal{}, refused
	case !t.now().Before(tok.Expires):
		return Principal{}, pki.Errorf(pki.Unauthenticated, "the API token expired at %s", tok.Expires.UTC().Format(time.RFC3339))
	}
	return Principal{Tenant: tok.Tenant, ID: "token:" + string(tok.ID), Name: tok.Name, Role: tok.Role,
		Endpoints: tok.Endpoints, Expires: tok.Expires}, nil
}

// byHash returns the token with the given hash as the store has it, or had it a
// moment ago. What is not there is looked for each time.
func (t *Tokens) byHash(ctx context.Context, hash [32]byte) (*Token, error) {
	now := t.now()
	tok, age := t.recent.get(hash, now)
	if tok != nil {
		return tok, nil
	}
	tok, err := t.store.TokenByHash(ctx, hash)
	if err == nil {
		t.recent.put(tok, now, age)
	}
	return tok, err
}

const tokenPrefix = "pando_"

// newSecret returns a token text: the prefix, 256 random bits in base64url, and
// eight hexadecimal digits of CRC-32 over both, so that secret scanners and
// clients tell a token, and a mistyped one, without asking the server.
func newSecret() pki.Secret {
	var b [32]byte
	rand.Read(b[:])
	body := tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return pki.NewSecret(body + checksum(body))
}

func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	return hex.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

func wellFormed(text string) bool {
	const length = len(tokenPrefix) + 43 + 8
	return len(text) == length && strings.HasPrefix(text, tokenPrefix) && checksum(text[:length-8]) == text[length-8:]
}
