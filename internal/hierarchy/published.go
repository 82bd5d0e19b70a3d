package hierarchy

import (
	"context"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Published returns an authority's issuers that clients are to know, newest first: its
// active one, and of its next and its earlier ones those that are not revoked; all but
// what has expired. It is public.
func (s *Service) Published(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([]*pki.Issuer, error) {
	all, err := s.cfg.Store.Issuers(ctx, tenant, authority)
	if err != nil {
		return nil, err
	}
	var published []*pki.Issuer
	for _, i := range all {
		switch i.State {
		case pki.IssuerActive: // whatever its status: what it signs has to have its chain
		case pki.IssuerNext, pki.IssuerEarlier:
			revoked, err := s.isRevoked(ctx, i)
			if err != nil {
				return nil, err
			}
			if revoked {
				continue
			}
		default:
			continue
		}
		if s.cfg.Now().Before(i.NotAfter) {
			published = append(published, i)
		}
	}
	return published, nil
}

// isRevoked reports whether an issuer's certificate is revoked.
func (s *Service) isRevoked(ctx context.Context, i *pki.Issuer) (bool, error) {
	p, err := tbs.ParseCertificate(i.Certificate)
	if err != nil {
		return false, err
	}
	status, err := s.cfg.Revocations.Status(ctx, i.Parent, p.Serial)
	return status.Revocation != nil, err
}

// Above returns, in DER, the certificates of an authority and of those above it up to
// and with the root, of each authority those of the issuers that are Published. They are
// public.
func (s *Service) Above(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([][]byte, error) {
	var found [][]byte
	for range maxDepth {
		a, err := s.cfg.Store.Authority(ctx, tenant, authority)
		if err != nil {
			return nil, err
		}
		issuers, err := s.Published(ctx, tenant, authority)
		if err != nil {
			return nil, err
		}
		for _, i := range issuers {
			found = append(found, i.Certificate)
		}
		if a.Parent == "" {
			return found, nil
		}
		authority = a.Parent
	}
	return found, nil
}
