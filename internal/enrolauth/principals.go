package enrolauth

import (
	"context"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Principals knows those who hold tokens, and those who hold secrets, for what waits for
// approval.
type Principals struct {
	*access.Tokens
	Secrets *Service
}

// Principal returns who holds a token or a secret at this moment, by the id of its
// principal.
func (p *Principals) Principal(ctx context.Context, tenant pki.TenantID, id string) (access.Principal, error) {
	switch {
	case strings.HasPrefix(id, principalPrefix):
		return p.Secrets.Principal(ctx, tenant, id)
	case Validated(id):
		who, err := p.Secrets.Principal(ctx, tenant, id)
		if pki.KindOf(err) == pki.Unauthenticated {
			p.Secrets.noteGone(tenant, id, err)
		}
		return who, err
	}
	return p.Tokens.Principal(ctx, tenant, id)
}

// Maker returns the principal that made a token or a secret, whether it still holds or
// not; "" where that is not known.
func (p *Principals) Maker(ctx context.Context, tenant pki.TenantID, id string) (string, error) {
	if Validated(id) {
		return "", nil
	}
	if !strings.HasPrefix(id, principalPrefix) {
		return p.Tokens.Maker(ctx, tenant, id)
	}
	found, err := p.Secrets.cfg.Store.Secret(ctx, tenant, pki.SecretID(strings.TrimPrefix(id, principalPrefix)))
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return "", nil
	case err != nil:
		return "", err
	}
	return found.Maker, nil
}
