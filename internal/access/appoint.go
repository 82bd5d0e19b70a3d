package access

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Appoint makes a token for an administrator of a child of the permit's tenant: the
// first one, or the next where the child has lost its own. It is the only thing that a
// parent gives within its child, and what it does itself there is nothing. It stands in
// the logs of both, in the parent's with who did it. It needs ManageChildren.
func (t *Tokens) Appoint(ctx context.Context, g Permit, child pki.TenantID, name string, life time.Duration) (*Token, pki.Secret, error) {
	if err := g.Check(ManageChildren); err != nil {
		return nil, pki.Secret{}, err
	}
	parent, err := t.store.Parent(ctx, child)
	if err == nil && (parent == "" || parent != g.tenant) {
		err = pki.Errorf(pki.NotFound, "no tenant %q", child)
	}
	if err != nil {
		return nil, pki.Secret{}, err
	}
	n := NewToken{Name: name, Role: TenantAdministrator, Life: life}
	if err := n.check(); err != nil {
		return nil, pki.Secret{}, err
	}
	maker := "tenant:" + string(g.tenant)
	tok := &Token{ID: pki.TokenID(pki.NewID(t.now())), Tenant: child, Maker: maker, Created: t.now().UTC()}
	tok.Grants = newGrants(child, tok.Principal(), TenantAdministrator, nil, []Scope{{}}, maker, tok.Created)
	return t.put(ctx, g.tenant, g.Actor(), n, tok)
}
