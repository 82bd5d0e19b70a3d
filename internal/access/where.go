package access

import (
	"context"

	"github.com/pando-pki/pando/internal/pki"
)

// AuthorityNames tells what the authorities of things are called, for scopes.
type AuthorityNames interface {
	// AuthorityName returns the name of a tenant's own authority, "" for another's.
	AuthorityName(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (string, error)
	// IssuerAuthorityName returns the name of the authority that a tenant's own issuer
	// belongs to, "" for another's.
	IssuerAuthorityName(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID) (string, error)
}

// WhereIs returns where a certificate is, as a tenant sees it that issued or owns it.
func WhereIs(ctx context.Context, names AuthorityNames, tenant pki.TenantID, c *pki.Certificate) (Scope, error) {
	authority, err := names.IssuerAuthorityName(ctx, tenant, c.Issuer)
	seen := c.SeenBy(tenant)
	return Scope{Authority: authority, ProductLine: seen.ProductLine, Site: seen.Site}, err
}

// CheckCertificate is CheckAt where a certificate is.
func (p Permit) CheckCertificate(ctx context.Context, names AuthorityNames, permission Permission, c *pki.Certificate) error {
	if err := p.CheckSome(permission); err != nil || p.whole {
		return err
	}
	where, err := WhereIs(ctx, names, p.tenant, c)
	if err != nil {
		return err
	}
	return p.CheckAt(permission, where)
}
