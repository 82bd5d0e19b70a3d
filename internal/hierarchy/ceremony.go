package hierarchy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// Request returns what to carry to the ceremony for the certificate of an authority
// under an offline root whose issuer is pending: its first, or one that Rollover made; of
// a root, for the one that follows it. It needs access.ManageAuthorities.
func (s *Service) Request(ctx context.Context, g access.Permit, nameOrID string) (*ceremony.Request, error) {
	a, err := s.within(ctx, g, access.ManageAuthorities, nameOrID)
	if err != nil {
		return nil, err
	}
	own := a.Coming()
	if a.State == pki.AuthorityRetired || own == nil || own.State != pki.IssuerPending {
		return nil, pki.Errorf(pki.Conflict, "the authority %s is %s and waits for no certificate", a.Name, a.State)
	}
	if a.Kind == pki.Root {
		return s.rootRequest(ctx, a, own)
	}
	csr, err := tbs.ParseCSR(own.Request)
	if err != nil {
		return nil, err
	}
	root, err := s.cfg.Store.Issuer(ctx, own.Parent)
	if err != nil {
		return nil, err
	}
	if root.Key != pki.OfflineKey {
		return nil, errCutOff(a)
	}
	parent, err := s.find(ctx, g.Tenant(), string(a.Parent))
	if err != nil {
		return nil, err
	}
	if err := s.inForce(ctx, parent, own.Parent); err != nil {
		return nil, err
	}
	profile, err := s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: g.Tenant(), Name: a.Profile, Version: own.ProfileVersion})
	if err != nil {
		return nil, err
	}
	organization, err := s.Organization(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	return &ceremony.Request{
		Kind: ceremony.KindCertificate, Root: fingerprint(root.Certificate), Mode: root.Mode, Made: s.made(),
		RootIssuer: root.ID, StatusURL: root.StatusURL,
		Issuer: own.ID, ProfileTenant: g.Tenant(), ProfileVersion: profile.Version, Profile: profile.Source,
		CommonName: csr.Subject.Get(der.OIDCommonName), Organization: organization, CSR: own.Request,
	}, nil
}

// CRLRequest returns what to carry to the ceremony for a root's next CRL, which
// will be valid for the given number of days; 0 is a year. A root that follows another
// has issuers with a CRL each: "" is the active one. It needs access.ManageAuthorities.
func (s *Service) CRLRequest(ctx context.Context, g access.Permit, root string, of pki.IssuerID, days int) (*ceremony.Request, error) {
	a, err := s.within(ctx, g, access.ManageAuthorities, root)
	if err != nil {
		return nil, err
	}
	issuer := a.Active()
	if of != "" {
		at := slices.IndexFunc(a.Issuers, func(i *pki.Issuer) bool { return i.ID == of })
		if at < 0 {
			return nil, pki.Errorf(pki.NotFound, "the authority %s has no issuer %.60q", a.Name, of)
		}
		issuer = a.Issuers[at]
	}
	if issuer == nil || len(issuer.Certificate) == 0 {
		return nil, pki.Errorf(pki.NotReady, "the authority %s has no certificate yet", a.Name)
	}
	if issuer.Key != pki.OfflineKey {
		return nil, pki.Errorf(pki.Conflict, "the key of %s is online: its CRLs are made without a ceremony", a.Name)
	}
	entries, err := s.revoked(ctx, issuer.ID)
	if err != nil {
		return nil, err
	}
	number, err := s.cfg.Revocations.ReserveCRLNumber(ctx, issuer.ID, 0)
	if err != nil {
		return nil, err
	}
	return &ceremony.Request{
		Kind: ceremony.KindCRL, Root: fingerprint(issuer.Certificate), Mode: issuer.Mode, Made: s.made(),
		RootIssuer: issuer.ID, StatusURL: issuer.StatusURL,
		Number: number, Days: days, Entries: entries,
	}, nil
}

// made returns the time that a request is made at, in whole seconds.
func (s *Service) made() time.Time { return s.cfg.Now().UTC().Truncate(time.Second) }

func (s *Service) revoked(ctx context.Context, issuer pki.IssuerID) ([]ceremony.Revocation, error) {
	shards, err := s.cfg.Revocations.Shards(ctx, issuer)
	if err != nil {
		return nil, err
	}
	var out []ceremony.Revocation
	const page = 1000
	for after := (pki.Serial{}); ; {
		entries, err := s.cfg.Revocations.Revoked(ctx, issuer, 0, shards[0].Newest, s.cfg.Now(), revocation.Span{After: after}, page)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			out = append(out, ceremony.Revocation{Serial: e.Serial.String(), At: e.At, Reason: e.Reason.String()})
			after = e.Serial
		}
		if len(entries) < page {
			return out, nil
		}
	}
}

// Install takes the answer to a request: the certificate of a pending issuer, or a
// root's CRL. A pending authority becomes active with it; of an active one it is the
// next issuer's, which signs once SwitchIssuer has made it the active one. Nothing in it is believed before it was
// checked against the parent and the authority's own key. It needs
// access.ManageAuthorities.
func (s *Service) Install(ctx context.Context, g access.Permit, r *ceremony.Response) (*View, error) {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return nil, err
	}
	switch r.Kind {
	case ceremony.KindCertificate:
		return s.installCertificate(ctx, g, r)
	case ceremony.KindRoot:
		return s.installRoot(ctx, g, r)
	case ceremony.KindCRL:
		root, err := s.own(ctx, g, r.RootIssuer)
		if err != nil {
			return nil, err
		}
		if err := s.cfg.CRLs.InstallCRL(ctx, g, r.CRL); err != nil {
			return nil, err
		}
		return s.find(ctx, g.Tenant(), string(root.Authority))
	default:
		return nil, pki.Errorf(pki.Malformed, "answer of kind %.20q: it is certificate, root or crl", r.Kind)
	}
}

// installChange is what a change of kind approval.InstallAuthority asks for.
type installChange struct {
	Issuer         pki.IssuerID `json:"issuer"`
	ProfileVersion int          `json:"profile_version"`
	Certificate    []byte       `json:"certificate"`            // DER
	NewWithOld     []byte       `json:"new_with_old,omitempty"` // of a root that follows another
	OldWithNew     []byte       `json:"old_with_new,omitempty"`
}

func changeOf(r *ceremony.Response) installChange {
	return installChange{r.Issuer, r.ProfileVersion, r.Certificate, r.NewWithOld, r.OldWithNew}
}

// response returns the ceremony's answer that the change is about.
func (ch *installChange) response() *ceremony.Response {
	kind := ceremony.KindCertificate
	if ch.NewWithOld != nil {
		kind = ceremony.KindRoot
	}
	return &ceremony.Response{Kind: kind, Issuer: ch.Issuer, ProfileVersion: ch.ProfileVersion, Certificate: ch.Certificate, NewWithOld: ch.NewWithOld, OldWithNew: ch.OldWithNew}
}

// awaiting returns the pending issuer that an answer is for, and its authority.
func (s *Service) awaiting(ctx context.Context, g access.Permit, id pki.IssuerID) (*pki.Issuer, *pki.Authority, error) {
	issuer, err := s.own(ctx, g, id)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case issuer.State != pki.IssuerDropped && len(issuer.Certificate) > 0:
		return nil, nil, pki.Errorf(pki.Conflict, "the issuer %s has its certificate already", issuer.ID)
	case issuer.State != pki.IssuerPending:
		return nil, nil, pki.Errorf(pki.Conflict, "the issuer %s is %s and takes no certificate", issuer.ID, issuer.State)
	}
	a, err := s.cfg.Store.Authority(ctx, g.Tenant(), issuer.Authority)
	if err != nil {
		return nil, nil, err
	}
	if a.State == pki.AuthorityRetired {
		return nil, nil, pki.Errorf(pki.Conflict, "the authority %s was retired; create another", a.Name)
	}
	return issuer, a, nil
}

func (s *Service) installCertificate(ctx context.Context, g access.Permit, r *ceremony.Response) (*View, error) {
	issuer, a, err := s.awaiting(ctx, g, r.Issuer)
	if err != nil {
		return nil, err
	}
	p, err := tbs.ParseCertificate(r.Certificate)
	if err != nil {
		return nil, err
	}
	if err := s.checkCertificate(ctx, issuer, p); err != nil {
		return nil, err
	}
	what := "signs from now on"
	if a.State == pki.AuthorityActive {
		what = "has a next issuer, which it can be switched to"
	}
	err = s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.InstallAuthority, Target: "authority:" + a.Name, Payload: changeOf(r),
		Summary: fmt.Sprintf("the authority %s %s, until %s; its certificate has the SHA-256 %s", a.Name, what, p.NotAfter.UTC().Format(time.RFC3339), fingerprint(r.Certificate)),
	})
	if err != nil {
		return nil, err
	}
	parent, err := s.cfg.Store.Issuer(ctx, issuer.Parent)
	if err != nil {
		return nil, err
	}
	signed, err := s.registrations(ctx, a, r.ProfileVersion, signedBy{parent, p})
	if err != nil {
		return nil, err
	}
	return s.giveCertificate(ctx, g, a, issuer, r.Certificate, pki.RootLinks{}, signed)
}

// signedBy is a certificate and the issuer that signed it.
type signedBy struct {
	issuer      *pki.Issuer
	certificate *tbs.Parsed
}

// registrations returns what issuance has of certificates that a ceremony signed by a
// version of the authority's profile: they can be revoked and traced like any other.
func (s *Service) registrations(ctx context.Context, a *pki.Authority, version int, certificates ...signedBy) (signed []*issuance.Intent, err error) {
	profile, err := s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: a.Tenant, Name: a.Profile, Version: version})
	if err != nil {
		return nil, err
	}
	for _, c := range certificates {
		in, err := s.cfg.CA.Registration(ctx, c.issuer, profile.ProfileRef, c.certificate)
		if err != nil {
			return nil, err
		}
		if in != nil {
			signed = append(signed, in)
		}
	}
	return signed, nil
}

// giveCertificate gives a pending issuer of an authority its certificate and links, which
// were checked, and stores what was signed for it in a ceremony.
func (s *Service) giveCertificate(ctx context.Context, g access.Permit, a *pki.Authority, issuer *pki.Issuer, certificate []byte, links pki.RootLinks, signed []*issuance.Intent) (*View, error) {
	p, err := tbs.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	act := "authority.next"
	if a.State == pki.AuthorityPending {
		act = "authority.activate"
	}
	defer s.forget(a.ID)
	err = s.cfg.Store.InstallIssuer(ctx, g.Tenant(), issuer.ID, certificate, links, p.NotBefore, p.NotAfter, signed,
		s.event(g, act, "authority:"+string(a.ID), fmt.Sprintf("issuer %s, certificate %s, sha256 %s", issuer.ID, p.Serial, fingerprint(certificate))))
	if err != nil {
		return nil, err
	}
	return s.find(ctx, g.Tenant(), string(a.ID))
}

// own returns an issuer of the permit's tenant.
func (s *Service) own(ctx context.Context, g access.Permit, id pki.IssuerID) (*pki.Issuer, error) {
	issuer, err := s.cfg.Store.Issuer(ctx, id)
	if err == nil && issuer.Tenant != g.Tenant() {
		err = pki.Errorf(pki.NotFound, "no issuer %.60q", id)
	}
	return issuer, err
}

// checkCertificate checks that a certificate is the one that the issuer waits
// for: its key, its name, signed by its parent, within its parent.
func (s *Service) checkCertificate(ctx context.Context, issuer *pki.Issuer, p *tbs.Parsed) error {
	csr, err := tbs.ParseCSR(issuer.Request)
	if err != nil {
		return pki.Because(pki.Conflict, err, "the issuer waits for no certificate")
	}
	parent, err := s.cfg.Store.Issuer(ctx, issuer.Parent)
	if err != nil {
		return err
	}
	above, err := tbs.ParseCertificate(parent.Certificate)
	if err != nil {
		return err
	}
	if err := p.CheckSignedBy(above); err != nil {
		return pki.Because(pki.PolicyRefused, err, "the certificate is not signed by the parent of this authority")
	}
	subject, err := tbs.ParseName(p.Subject)
	if err != nil {
		return err
	}
	ca, pathLen := p.IsCA()
	_, room := above.IsCA()
	switch {
	case !ca:
		return pki.Errorf(pki.PolicyRefused, "the certificate is not one of a CA")
	case !bytes.Equal(p.Key.SPKI(), csr.Key.SPKI()):
		return pki.Errorf(pki.PolicyRefused, "the certificate is for another key than this authority's")
	case subject.Get(der.OIDCommonName) != csr.Subject.Get(der.OIDCommonName):
		return pki.Errorf(pki.PolicyRefused, "the certificate names %q, not this authority", subject.Get(der.OIDCommonName))
	case room >= 0 && (pathLen < 0 || pathLen >= room):
		return pki.Errorf(pki.PolicyRefused, "the certificate's path length does not fit below its parent's")
	case p.NotBefore.Before(above.NotBefore) || p.NotAfter.After(above.NotAfter):
		return pki.Errorf(pki.PolicyRefused, "the certificate is valid outside its parent's validity")
	case !s.cfg.Now().Before(p.NotAfter):
		return pki.Errorf(pki.PolicyRefused, "the certificate has expired")
	}
	return nil
}

func fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return hex.EncodeToString(sum[:])
}
