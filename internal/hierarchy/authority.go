package hierarchy

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// A View is an authority with its issuers, newest first.
type View struct {
	pki.Authority
	Issuers []*pki.Issuer
}

// MaxShards is the largest number of CRL shards of an issuer.
const MaxShards = 65536

// NewRoot is a root whose certificate a ceremony made.
type NewRoot struct {
	Name        string
	Mode        pki.Mode
	StatusURL   string // where its CRL will be served
	Certificate []byte // DER, self-signed
}

// ImportRoot registers a root. Its key stays offline. It needs
// access.ManageAuthorities.
func (s *Service) ImportRoot(ctx context.Context, g access.Grant, n NewRoot) (*View, error) {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return nil, err
	}
	if err := pki.CheckSlug("authority", n.Name); err != nil {
		return nil, err
	}
	if n.Mode != pki.Production && n.Mode != pki.Test {
		return nil, pki.Errorf(pki.Malformed, "mode %.20q: it is production or test", n.Mode)
	}
	if err := checkStatusURL(n.StatusURL, n.Mode); err != nil {
		return nil, err
	}
	p, err := tbs.ParseCertificate(n.Certificate)
	if err != nil {
		return nil, err
	}
	if ca, _ := p.IsCA(); !ca {
		return nil, pki.Errorf(pki.PolicyRefused, "the certificate is not one of a CA")
	}
	if err := p.CheckSignedBy(p); err != nil {
		return nil, pki.Because(pki.PolicyRefused, err, "the certificate is not self-signed: only a root is imported so")
	}
	subject, err := tbs.ParseName(p.Subject)
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
		StatusURL: n.StatusURL, Shards: 1, Active: true, NotBefore: p.NotBefore, NotAfter: p.NotAfter, Created: now,
	}
	err = s.cfg.Store.PutAuthority(ctx, a, i, s.event(g, "authority.import-root", "authority:"+string(a.ID), n.Name+" "+string(n.Mode)))
	if err != nil {
		return nil, err
	}
	return &View{*a, []*pki.Issuer{i}}, nil
}

// NewAuthority is an authority that gets its key here and its certificate from
// its parent. Its mode is the parent's, so that a test authority chains only to
// a test root.
type NewAuthority struct {
	Name       string
	CommonName string
	Kind       pki.AuthorityKind // intermediate or issuing
	Parent     string            // name or id
	Profile    string            // of its certificate; "" is issuing-ca
	KeyKind    pki.KeyKind       // "" is the profile's first
	StatusURL  string            // fixed for each issuer at its creation
	Shards     int               // of CRLs; 0 is 1, at most MaxShards
	SignCheck  pki.SignCheck     // "" is CheckHardware
}

// CreateAuthority makes a key and a request. Below an online parent the authority
// gets its certificate at once and is active; below an offline one it is pending
// until Install. It needs access.ManageAuthorities.
func (s *Service) CreateAuthority(ctx context.Context, g access.Grant, n NewAuthority) (*View, error) {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return nil, err
	}
	parent, err := s.find(ctx, g.Tenant(), n.Parent)
	if err != nil {
		return nil, err
	}
	if err := n.complete(parent); err != nil {
		return nil, err
	}
	if _, err := s.cfg.Store.AuthorityByName(ctx, g.Tenant(), n.Name); pki.KindOf(err) != pki.NotFound {
		if err == nil {
			err = pki.Errorf(pki.Conflict, "an authority %q exists already", n.Name)
		}
		return nil, err
	}
	if n.KeyKind, err = s.keyKind(ctx, g.Tenant(), n); err != nil {
		return nil, err
	}
	if err := s.needResponders(ctx, g.Tenant()); err != nil {
		return nil, err
	}
	organization, err := s.Organization(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	uri, err := s.cfg.Keys.Generate(ctx, "software", g.Tenant(), n.KeyKind, keystore.UseCA)
	if err != nil {
		return nil, err
	}
	request, err := s.request(ctx, uri, tbs.Name{{OID: der.OIDOrganization, Value: organization}, {OID: der.OIDCommonName, Value: n.CommonName}})
	if err != nil {
		return nil, err
	}
	var certificate []byte
	if parent.Issuers[0].Key != pki.OfflineKey {
		got, err := s.cfg.RA.Subordinate(ctx, g, parent.ID, n.Profile, n.CommonName, request)
		if err != nil {
			return nil, err
		}
		certificate = got.Certificate.DER
	}
	now := s.cfg.Now().UTC()
	a := &pki.Authority{
		ID: pki.AuthorityID(pki.NewOpaqueID()), Tenant: g.Tenant(), Name: n.Name, CommonName: n.CommonName,
		Kind: n.Kind, Mode: parent.Mode, Parent: parent.ID, Profile: n.Profile, KeyKind: n.KeyKind,
		StatusURL: n.StatusURL, Shards: n.Shards, SignCheck: n.SignCheck, State: pki.AuthorityPending, Created: now,
	}
	i := &pki.Issuer{
		ID: pki.IssuerID(pki.NewOpaqueID()), Authority: a.ID, Tenant: a.Tenant, Mode: a.Mode, Parent: parent.Issuers[0].ID,
		Key: uri, Request: request, StatusURL: n.StatusURL, Shards: n.Shards, Created: now,
	}
	err = s.cfg.Store.PutAuthority(ctx, a, i, s.event(g, "authority.create", "authority:"+string(a.ID),
		fmt.Sprintf("%s, %s under %s, key %s", n.Name, n.Kind, parent.Name, n.KeyKind)))
	if err != nil {
		return nil, err
	}
	if certificate != nil {
		return s.activate(ctx, g, i, certificate)
	}
	return &View{*a, []*pki.Issuer{i}}, nil
}

// needResponders refuses a tenant whose authorities could not answer OCSP.
func (s *Service) needResponders(ctx context.Context, tenant pki.TenantID) error {
	_, err := s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: tenant, Name: policy.ResponderProfile})
	if pki.KindOf(err) == pki.NotFound {
		return pki.Errorf(pki.NotReady, "publish a profile named %s first: the authority's OCSP responder needs it ('pando profile reference %s' prints one)", policy.ResponderProfile, policy.ResponderProfile)
	}
	return err
}

// complete sets defaults and checks the fields against the parent.
func (n *NewAuthority) complete(parent *View) error {
	if n.Profile == "" {
		n.Profile = "issuing-ca"
	}
	if n.Shards == 0 {
		n.Shards = 1
	}
	if n.SignCheck == "" {
		n.SignCheck = pki.CheckHardware
	}
	switch {
	case n.Kind != pki.Intermediate && n.Kind != pki.Issuing:
		return pki.Errorf(pki.Malformed, "kind %.20q: it is intermediate or issuing; a root is made in a ceremony and imported", n.Kind)
	case n.SignCheck != pki.CheckAlways && n.SignCheck != pki.CheckHardware:
		return pki.Errorf(pki.Malformed, "sign check %.20q: it is always or hardware", n.SignCheck)
	case n.Shards < 1 || n.Shards > MaxShards:
		return pki.Errorf(pki.Malformed, "%d CRL shards: from 1 to %d", n.Shards, MaxShards)
	case parent.State != pki.AuthorityActive || parent.Kind == pki.Issuing:
		return pki.Errorf(pki.PolicyRefused, "%s is %s and %s: it cannot have authorities below it", parent.Name, parent.Kind, parent.State)
	}
	if err := pki.CheckSlug("authority", n.Name); err != nil {
		return err
	}
	if err := checkText("common name", n.CommonName); err != nil {
		return err
	}
	return checkStatusURL(n.StatusURL, parent.Mode)
}

// keyKind returns the kind of an authority's key: one that its profile allows.
func (s *Service) keyKind(ctx context.Context, tenant pki.TenantID, n NewAuthority) (pki.KeyKind, error) {
	p, err := s.caProfile(ctx, tenant, n.Profile)
	if err != nil {
		return "", err
	}
	if n.KeyKind == "" {
		return p.KeyKinds()[0], nil
	}
	for _, k := range p.KeyKinds() {
		if k == n.KeyKind {
			return k, nil
		}
	}
	return "", pki.Errorf(pki.BadKey, "the profile %s allows keys of %v, not %.20q", n.Profile, p.KeyKinds(), n.KeyKind)
}

func (s *Service) caProfile(ctx context.Context, tenant pki.TenantID, name string) (*policy.Profile, error) {
	v, err := s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: tenant, Name: name})
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse([]byte(v.Source))
	if err != nil {
		return nil, err
	}
	if !p.CA() {
		return nil, pki.Errorf(pki.PolicyRefused, "the profile %s is not one for authorities", name)
	}
	return p, nil
}

// request makes the PKCS #10 request of a new authority's key.
func (s *Service) request(ctx context.Context, uri pki.KeyURI, subject tbs.Name) ([]byte, error) {
	public, _, err := s.cfg.Keys.Public(ctx, uri)
	if err != nil {
		return nil, err
	}
	name, err := subject.Append(nil)
	if err != nil {
		return nil, err
	}
	info := tbs.AppendCSR(nil, name, public, nil)
	signature, err := s.cfg.Keys.Sign(ctx, uri, signer.Request, info, true)
	if err != nil {
		return nil, err
	}
	return tbs.AppendSigned(nil, info, public.SignatureAlgorithm(), signature), nil
}

// Authority returns an authority of the grant's tenant by name or id. It needs
// access.ReadConfiguration.
func (s *Service) Authority(ctx context.Context, g access.Grant, nameOrID string) (*View, error) {
	if err := g.Check(access.ReadConfiguration); err != nil {
		return nil, err
	}
	return s.find(ctx, g.Tenant(), nameOrID)
}

// Authorities returns the authorities of the grant's tenant. It needs
// access.ReadConfiguration.
func (s *Service) Authorities(ctx context.Context, g access.Grant) ([]*View, error) {
	if err := g.Check(access.ReadConfiguration); err != nil {
		return nil, err
	}
	authorities, err := s.cfg.Store.Authorities(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	views := make([]*View, len(authorities))
	for i, a := range authorities {
		if views[i], err = s.view(ctx, a); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// Retire ends an authority's signing of certificates for good; status of what it
// signed goes on. It needs access.ManageAuthorities.
func (s *Service) Retire(ctx context.Context, g access.Grant, nameOrID string) error {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return err
	}
	a, err := s.find(ctx, g.Tenant(), nameOrID)
	if err != nil {
		return err
	}
	defer s.forget(a.ID)
	return s.cfg.Store.SetAuthorityState(ctx, g.Tenant(), a.ID, pki.AuthorityActive, pki.AuthorityRetired,
		s.event(g, "authority.retire", "authority:"+string(a.ID), a.Name))
}

// FindAuthority returns the id of an authority by name or id, for the RA.
func (s *Service) FindAuthority(ctx context.Context, tenant pki.TenantID, nameOrID string) (pki.AuthorityID, error) {
	a, err := s.find(ctx, tenant, nameOrID)
	if err != nil {
		return "", err
	}
	return a.ID, nil
}

func (s *Service) find(ctx context.Context, tenant pki.TenantID, nameOrID string) (*View, error) {
	a, err := s.cfg.Store.AuthorityByName(ctx, tenant, nameOrID)
	if pki.KindOf(err) == pki.NotFound {
		a, err = s.cfg.Store.Authority(ctx, tenant, pki.AuthorityID(nameOrID))
	}
	if pki.KindOf(err) == pki.NotFound {
		return nil, pki.Errorf(pki.NotFound, "no authority %.60q", nameOrID)
	}
	if err != nil {
		return nil, err
	}
	return s.view(ctx, a)
}

func (s *Service) view(ctx context.Context, a *pki.Authority) (*View, error) {
	issuers, err := s.cfg.Store.Issuers(ctx, a.Tenant, a.ID)
	if err != nil {
		return nil, err
	}
	return &View{*a, issuers}, nil
}

// checkStatusURL refuses a base that relying parties could not use: it goes into
// certificates for decades.
func checkStatusURL(base string, mode pki.Mode) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		strings.HasSuffix(base, "/") || len(base) > 200 {
		return pki.Errorf(pki.Malformed, "status URL %.200q: it is http://HOST[:PORT][/PATH] without a slash at the end (http, since fetching status must not need status)", base)
	}
	ip, ipErr := netip.ParseAddr(u.Hostname())
	port, portErr := strconv.ParseUint(cmp.Or(u.Port(), "80"), 10, 16)
	if u.String() != base || u.ForceQuery || path.Clean("/"+u.Path) != "/"+strings.TrimPrefix(u.Path, "/") || portErr != nil || port == 0 ||
		ipErr != nil && (strings.Contains(u.Hostname(), "*") || policy.CheckNames(pki.Names{DNS: []string{u.Hostname()}}) != nil) {
		return pki.Errorf(pki.Malformed, "status URL %.200q: its host is a DNS name in lower case or an IP address, and it is written as in RFC 3986, without '..', '?' and '#'", base)
	}
	if mode == pki.Production && (u.Hostname() == "localhost" || ipErr == nil && (ip.IsLoopback() || ip.IsUnspecified())) {
		return pki.Errorf(pki.PolicyRefused, "status URL %s: loopback is for test authorities only", base)
	}
	return nil
}
