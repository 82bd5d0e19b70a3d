package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Change says that an act was approved: which, and the hash of exactly what.
// Its zero value says nothing.
type Change struct {
	ID   pki.ChangeID
	Hash [32]byte
}

// For returns the permit to do what was approved, and nothing else: whoever stores
// the act stores with it that the change is executed.
func (p Permit) For(c Change) Permit {
	p.change = c
	return p
}

// Change returns the approved change that the permit is for; zero is none.
func (p Permit) Change() Change { return p.change }

// Principal returns who holds a token of the tenant at this moment, by the id that
// its principal has. One that is not there, is revoked or has expired is
// Unauthenticated.
func (t *Tokens) Principal(ctx context.Context, tenant pki.TenantID, id string) (Principal, error) {
	tok, err := t.byPrincipal(ctx, tenant, id)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return Principal{}, pki.Because(pki.Unauthenticated, err, "there is no %s", id)
	case err != nil:
		return Principal{}, err
	case !tok.Revoked.IsZero():
		return Principal{}, pki.Errorf(pki.Unauthenticated, "%s is revoked", id)
	case !t.now().Before(tok.Expires):
		return Principal{}, pki.Errorf(pki.Unauthenticated, "%s expired at %s", id, tok.Expires.UTC().Format(time.RFC3339))
	}
	return tok.principal(), nil
}

// Maker returns the principal that made a token, whether it still holds or not, by the
// id of who holds it; "" where that is not known, or there is no such token.
func (t *Tokens) Maker(ctx context.Context, tenant pki.TenantID, id string) (string, error) {
	tok, err := t.byPrincipal(ctx, tenant, id)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return "", nil
	case err != nil:
		return "", err
	}
	return tok.Maker, nil
}

func (t *Tokens) byPrincipal(ctx context.Context, tenant pki.TenantID, id string) (*Token, error) {
	token, ok := strings.CutPrefix(id, tokenPrincipal(""))
	if !ok {
		return nil, pki.Errorf(pki.NotFound, "%s holds no token", id)
	}
	return t.store.Token(ctx, tenant, pki.TokenID(token))
}

// principal returns who holds the token.
func (t *Token) principal() Principal {
	return Principal{Tenant: t.Tenant, ID: t.Principal(), Name: t.Name, Grants: t.Grants, Expires: t.Expires, Proofs: pki.ByToken}
}

// Includes reports whether holders of a built-in role have the permission.
func (r Role) Includes(p Permission) bool { return slices.Contains(permissions[r], p) }

// Holds reports whether the principal has a role on a scope that covers where, and not
// only from one of some givers, who are named by their IDs.
func (p Principal) Holds(r Role, where Scope, givers ...string) bool {
	return slices.ContainsFunc(p.Grants, func(g Grant) bool {
		return g.Role == r && g.Scope.Covers(where) && !slices.Contains(givers, g.giver())
	})
}

// giver returns the ID of who gave the grant: its actor without the name.
func (g *Grant) giver() string {
	id, _, _ := strings.Cut(g.Actor, " ")
	return id
}
