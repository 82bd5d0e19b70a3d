package hierarchy

import (
	"bytes"
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// NewRoot is a root whose certificate a ceremony made.
type NewRoot struct {
	Name        string   `json:"name"`
	Mode        pki.Mode `json:"mode"`
	StatusURL   string   `json:"status_url"`  // where its CRL will be served
	Certificate []byte   `json:"certificate"` // DER, self-signed
}

// ImportRoot registers a root. Its key stays offline. A key that the tenant has
// as a root already, under whatever name and in whichever mode, is Conflict. It
// needs access.ManageAuthorities.
func (s *Service) ImportRoot(ctx context.Context, g access.Permit, n NewRoot) (*View, error) {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return nil, err
	}
	if err := pki.CheckSlug("authority", n.Name); err != nil {
		return nil, err
	}
	if n.Mode != pki.Production && n.Mode != pki.Test {
		return nil, pki.Errorf(pki.Malformed, "mode %.20q: it is production or test", n.Mode)
	}
	if err := policy.CheckStatusURL(n.StatusURL, n.Mode); err != nil {
		return nil, err
	}
	p, err := parseRoot(n.Certificate)
	if err != nil {
		return nil, err
	}
	subject, err := tbs.ParseName(p.Subject)
	if err != nil {
		return nil, err
	}
	release, err := s.hold(g.Tenant(), "name "+n.Name, "root "+fingerprint(p.Key.SPKI()))
	if err != nil {
		return nil, err
	}
	defer release()
	if err := s.newRootKey(ctx, g.Tenant(), p); err != nil {
		return nil, err
	}
	if err := s.nameFree(ctx, g.Tenant(), n.Name); err != nil {
		return nil, err
	}
	err = s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.ImportRoot, Target: "authority:" + n.Name, Payload: n,
		Summary: fmt.Sprintf("the root %s in mode %s, SHA-256 %s", n.Name, n.Mode, fingerprint(n.Certificate)),
	})
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now().UTC()
	a := &pki.Authority{
		ID: pki.AuthorityID(pki.NewOpaqueID()), Tenant: g.Tenant(), Name: n.Name, CommonName: subject.Get(der.OIDCommonName),
		Kind: pki.Root, Mode: n.Mode, Profile: "root", KeyKind: p.Key.Kind(), StatusURL: n.StatusURL, Shards: 1,
		SignCheck: pki.CheckAlways, State: pki.AuthorityActive, Created: now,
	}
	id := pki.IssuerID(pki.NewOpaqueID())
	i := &pki.Issuer{
		ID: id, Authority: a.ID, Tenant: a.Tenant, Mode: a.Mode, Parent: id, Key: pki.OfflineKey, Certificate: n.Certificate,
		StatusURL: n.StatusURL, Shards: 1, State: pki.IssuerActive, NotBefore: p.NotBefore, NotAfter: p.NotAfter, Created: now,
	}
	err = s.cfg.Store.PutAuthority(ctx, a, i, s.event(g, "authority.import-root", "authority:"+string(a.ID), n.Name+" "+string(n.Mode)))
	if err != nil {
		return nil, err
	}
	return &View{*a, []*pki.Issuer{i}}, nil
}

// parseRoot reads the certificate of a CA that is signed by its own key.
func parseRoot(certificate []byte) (*tbs.Parsed, error) {
	p, err := tbs.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	if ca, _ := p.IsCA(); !ca {
		return nil, pki.Errorf(pki.PolicyRefused, "the certificate is not one of a CA")
	}
	if err := p.CheckSignedBy(p); err != nil {
		return nil, pki.Because(pki.PolicyRefused, err, "the certificate is not self-signed: only a root is imported so")
	}
	return p, nil
}

// newRootKey refuses a root whose key is that of another of the tenant's: a root
// has one mode for life, and its CRL one course of numbers.
func (s *Service) newRootKey(ctx context.Context, tenant pki.TenantID, p *tbs.Parsed) error {
	authorities, err := s.cfg.Store.Authorities(ctx, tenant)
	if err != nil {
		return err
	}
	for _, a := range authorities {
		if a.Kind != pki.Root {
			continue
		}
		issuers, err := s.cfg.Store.Issuers(ctx, tenant, a.ID)
		if err != nil {
			return err
		}
		for _, i := range issuers {
			if len(i.Certificate) == 0 {
				continue // it is to follow another
			}
			have, err := tbs.ParseCertificate(i.Certificate)
			if err != nil {
				return err
			}
			if bytes.Equal(have.Key.SPKI(), p.Key.SPKI()) {
				return pki.Errorf(pki.Conflict, "this root is there already, as %s in mode %s", a.Name, a.Mode)
			}
		}
	}
	return nil
}
