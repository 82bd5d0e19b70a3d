package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Token is an API token as it is kept: without its secret.
type Token struct {
	ID      pki.TokenID
	Tenant  pki.TenantID
	Name    string
	Grants  []Grant  // what whoever holds it may do
	Maker   string   // the principal that made it; "" where that is not known
	Hash    [32]byte // SHA-256 of the whole token text
	Created time.Time
	Expires time.Time
	Revoked time.Time // zero while it holds
}

// Principal returns the id of whoever holds the token, as grants name it.
func (t *Token) Principal() string { return tokenPrincipal(t.ID) }

func tokenPrincipal(id pki.TokenID) string { return "token:" + string(id) }

// TokenStore keeps tokens. Each change stores its event in the same transaction.
type TokenStore interface {
	// PutToken stores a token with its grants; Conflict where an own role of a grant does
	// not include what the grant says.
	PutToken(ctx context.Context, t *Token, e pki.Event) error
	// TokenByHash returns the token with the given hash and its grants, or a NotFound
	// error. It is the one look-up without a tenant: the tenant comes from it.
	TokenByHash(ctx context.Context, hash [32]byte) (*Token, error)
	// Token returns a token with its grants, or a NotFound error.
	Token(ctx context.Context, tenant pki.TenantID, id pki.TokenID) (*Token, error)
	// Tokens returns the tenant's tokens with their grants, newest first.
	Tokens(ctx context.Context, tenant pki.TenantID) ([]*Token, error)
	// RevokeToken sets the time of revocation; NotFound where the tenant has no
	// such token.
	RevokeToken(ctx context.Context, tenant pki.TenantID, id pki.TokenID, at time.Time, e pki.Event) error
	// Parent returns the tenant that made a tenant, "" for the platform; NotFound where
	// there is no such tenant.
	Parent(ctx context.Context, child pki.TenantID) (pki.TenantID, error)
	ScopeStore
}

// ScopeStore knows what grants name.
type ScopeStore interface {
	// Missing returns the part of a scope that names nothing of the tenant, as
	// "endpoint:metre"; "" where all is there.
	Missing(ctx context.Context, tenant pki.TenantID, s Scope) (string, error)
	// Roles returns the tenant's own roles, by name.
	Roles(ctx context.Context, tenant pki.TenantID) ([]*OwnRole, error)
}

// Tokens makes, checks and revokes API tokens.
type Tokens struct {
	store  TokenStore
	now    pki.Clock
	gate   Gate // see Heed; set once
	recent memory
}

// NewTokens returns Tokens over the given store.
func NewTokens(store TokenStore, now pki.Clock) *Tokens { return &Tokens{store: store, now: now} }

// The longest life of a token, and the one it has where none is asked for.
const (
	MaxTokenLife     = 2 * 365 * 24 * time.Hour
	DefaultTokenLife = 90 * 24 * time.Hour
)

// NewToken is what is asked for when a token is created.
type NewToken struct {
	Name   string
	Role   Role
	Scopes []Scope       // where it has the role, which exists; nil is the whole tenant
	Life   time.Duration // 0 is DefaultTokenLife; at most MaxTokenLife
}

// Create makes a token in the permit's tenant and returns it with its secret
// text, which is not kept and cannot be had again. Nobody grants more than they
// have; but a platform operator appoints the administrators of tenants.
func (t *Tokens) Create(ctx context.Context, g Permit, n NewToken) (*Token, pki.Secret, error) {
	if err := g.CheckSome(ManageTokens); err != nil {
		return nil, pki.Secret{}, err
	}
	if err := n.check(); err != nil {
		return nil, pki.Secret{}, err
	}
	now := t.now().UTC()
	id := pki.TokenID(pki.NewID(now))
	grants, err := NewGrants(ctx, g, t.store, tokenPrincipal(id), n.Role, n.Scopes, now)
	if err != nil {
		return nil, pki.Secret{}, err
	}
	if err := t.checkAlone(ctx, g, grants); err != nil {
		return nil, pki.Secret{}, err
	}
	return t.put(ctx, g.tenant, g.Actor(), n, &Token{ID: id, Tenant: g.tenant, Grants: grants, Maker: g.principal.ID, Created: now})
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
	const actor = "system:init"
	tok := &Token{ID: pki.TokenID(pki.NewID(now)), Tenant: pki.Platform, Created: now.UTC()}
	tok.Grants = newGrants(pki.Platform, tok.Principal(), PlatformOperator, nil, []Scope{{}}, actor, tok.Created)
	return t.put(ctx, pki.Platform, actor, NewToken{Name: "first platform operator", Life: DefaultTokenLife}, tok)
}

// check refuses what no token can be, and fills in what is left out.
func (n *NewToken) check() error {
	if n.Life == 0 {
		n.Life = DefaultTokenLife
	}
	if n.Scopes == nil {
		n.Scopes = []Scope{{}}
	}
	switch {
	case n.Name == "" || len(n.Name) > 100 || strings.ContainsFunc(n.Name, func(r rune) bool { return r < ' ' }):
		return pki.Errorf(pki.Malformed, "a token has a name of 1 to 100 characters that says whose it is")
	case n.Life < time.Minute || n.Life > MaxTokenLife:
		return pki.Errorf(pki.Malformed, "a token lives for a minute at least and for %d days at most", MaxTokenLife/(24*time.Hour))
	}
	return nil
}

// put completes and stores a token.
func (t *Tokens) put(ctx context.Context, by pki.TenantID, actor string, n NewToken, tok *Token) (*Token, pki.Secret, error) {
	secret := newSecret()
	tok.Name, tok.Hash, tok.Expires = n.Name, sha256.Sum256([]byte(secret.Reveal())), tok.Created.Add(n.Life)
	event := pki.Event{Tenant: by, At: tok.Created, Actor: actor, Action: "token.create", Target: tok.Principal(),
		Detail: GrantsText(tok.Grants) + " until " + tok.Expires.Format(time.RFC3339)}
	if err := t.store.PutToken(ctx, tok, event); err != nil {
		return nil, pki.Secret{}, err
	}
	return tok, secret, nil
}

// List returns the tokens of the permit's tenant, newest first: those whose grants are
// all within the permit.
func (t *Tokens) List(ctx context.Context, g Permit) ([]*Token, error) {
	if err := g.CheckSome(ManageTokens); err != nil {
		return nil, err
	}
	all, err := t.store.Tokens(ctx, g.tenant)
	return slices.DeleteFunc(all, func(tok *Token) bool { return g.checkManage(tok) != nil }), err
}

// checkManage reports whether a token is within a permit of ManageTokens.
func (p Permit) checkManage(t *Token) error {
	if p.principal.operator() && p.tenant != pki.Platform {
		if !slices.ContainsFunc(t.Grants, func(g Grant) bool { return g.Role == TenantAdministrator }) {
			return Refuse(ManageTokens, Scope{}, "a platform operator ends the tokens of tenant administrators in a tenant, and no others: its administrators do")
		}
		return nil
	}
	if len(t.Grants) == 0 {
		return p.Check(ManageTokens)
	}
	for _, g := range t.Grants {
		if err := p.CheckAt(ManageTokens, g.Scope); err != nil {
			return err
		}
	}
	return nil
}

// Revoke ends a token of the permit's tenant: here at once, on other nodes within
// five seconds.
func (t *Tokens) Revoke(ctx context.Context, g Permit, id pki.TokenID) error {
	if err := g.CheckSome(ManageTokens); err != nil {
		return err
	}
	tok, err := t.store.Token(ctx, g.tenant, id)
	if err != nil {
		return err
	}
	if err := g.checkManage(tok); err != nil {
		return err
	}
	now := t.now().UTC()
	defer t.recent.forget() // also after an error, which may mean that the outcome is unknown
	return t.store.RevokeToken(ctx, g.tenant, id, now, pki.Event{Tenant: g.tenant, At: now,
		Actor: g.Actor(), Action: "token.revoke", Target: tokenPrincipal(id)})
}

// Forget has each token be read anew, after a change of grants or roles on this node.
func (t *Tokens) Forget() { t.recent.forget() }

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
	return tok.principal(), nil
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
