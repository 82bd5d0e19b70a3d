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
	published, _, err := s.published(ctx, tenant, authority)
	return published, err
}

// published is Published; the links are those between its issuers, where they are of a root.
func (s *Service) published(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (published []*pki.Issuer, links map[pki.IssuerID]pki.RootLinks, err error) {
	all, err := s.cfg.Store.Issuers(ctx, tenant, authority)
	if err != nil {
		return nil, nil, err
	}
	revoked, err := s.revokedOf(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	has := make(map[pki.IssuerID]bool)
	for _, i := range all {
		switch i.State {
		case pki.IssuerActive: // whatever its status: what it signs has to have its chain
		case pki.IssuerNext, pki.IssuerEarlier:
			if revoked[i.ID] {
				continue
			}
		default:
			continue
		}
		if s.cfg.Now().Before(i.NotAfter) {
			published = append(published, i)
			has[i.ID] = true
		}
	}
	links = make(map[pki.IssuerID]pki.RootLinks)
	for _, i := range published {
		// A link is of no use to who cannot have both roots, and of none that is revoked.
		if has[i.Follows] && !revoked[i.ID] && !revoked[i.Follows] {
			links[i.ID] = i.Links
		}
	}
	return published, links, nil
}

// revokedOf returns which of an authority's issuers are revoked. A root is by another's
// link to it: the one before revokes NewWithOld, the one that follows OldWithNew.
func (s *Service) revokedOf(ctx context.Context, all []*pki.Issuer) (map[pki.IssuerID]bool, error) {
	revoked := make(map[pki.IssuerID]bool)
	look := func(i, by pki.IssuerID, certificate []byte) error {
		p, err := tbs.ParseCertificate(certificate)
		if err != nil {
			return err
		}
		status, err := s.cfg.Revocations.Status(ctx, by, p.Serial)
		revoked[i] = revoked[i] || status.Revocation != nil
		return err
	}
	for _, i := range all {
		var err error
		switch {
		case len(i.Certificate) == 0 || i.State == pki.IssuerDropped:
		case i.Parent != i.ID:
			err = look(i.ID, i.Parent, i.Certificate)
		case i.Follows != "":
			if err = look(i.ID, i.Follows, i.Links.NewWithOld); err == nil {
				err = look(i.Follows, i.ID, i.Links.OldWithNew)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return revoked, nil
}

// inForce refuses to have anything come under an authority's issuer that is revoked.
func (s *Service) inForce(ctx context.Context, parent *View, issuer pki.IssuerID) error {
	revoked, err := s.revokedOf(ctx, parent.Issuers)
	if err != nil {
		return err
	}
	if revoked[issuer] {
		return pki.Errorf(pki.PolicyRefused, "the certificate of %s is revoked: nothing comes under it any more", parent.Name)
	}
	return nil
}

// Above returns, in DER, the certificates of an authority and of those above it up to
// and with the root, of each authority those of the issuers that are Published; a root
// that follows another is followed by the links with that one (RFC 7030, 4.1.3; RFC 9810,
// 4.4). They are public.
func (s *Service) Above(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([][]byte, error) {
	return s.walk(ctx, tenant, authority, func(i *pki.Issuer) [][]byte { return [][]byte{i.Certificate} })
}

// Links returns, in DER, the links between the roots of an authority, of those that are
// Published: of each two NewWithOld before OldWithNew. They are public.
func (s *Service) Links(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([][]byte, error) {
	return s.walk(ctx, tenant, authority, func(*pki.Issuer) [][]byte { return nil })
}

// walk goes through the published issuers of an authority and of those above it.
func (s *Service) walk(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID, of func(*pki.Issuer) [][]byte) ([][]byte, error) {
	var found [][]byte
	for range maxDepth {
		a, err := s.cfg.Store.Authority(ctx, tenant, authority)
		if err != nil {
			return nil, err
		}
		issuers, links, err := s.published(ctx, tenant, authority)
		if err != nil {
			return nil, err
		}
		for _, i := range issuers {
			found = append(found, of(i)...)
			if l, ok := links[i.ID]; ok {
				found = append(found, l.NewWithOld, l.OldWithNew)
			}
		}
		if a.Parent == "" {
			return found, nil
		}
		authority = a.Parent
	}
	return found, nil
}
