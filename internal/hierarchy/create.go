package hierarchy

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// MaxShards is the largest number of CRL shards of an issuer.
const MaxShards = 65536

// NewAuthority is an authority that gets its key here and its certificate from
// its parent. Its mode is the parent's, so that a test authority chains only to
// a test root.
type NewAuthority struct {
	Name       string            `json:"name"`
	CommonName string            `json:"common_name"`
	Kind       pki.AuthorityKind `json:"kind"`       // intermediate or issuing
	Parent     string            `json:"parent"`     // name or id
	Profile    string            `json:"profile"`    // of its certificate; "" is issuing-ca
	Version    int               `json:"version"`    // of the profile; CreateAuthority sets it, to the latest
	KeyKind    pki.KeyKind       `json:"key"`        // "" is the profile's first
	StatusURL  string            `json:"status_url"` // fixed for each issuer at its creation
	Shards     int               `json:"shards"`     // of CRLs; 0 is 1, at most MaxShards
	SignCheck  pki.SignCheck     `json:"sign_check"` // "" is CheckHardware

	RandomSerials bool              `json:"random_serials"` // see pki.Authority
	Deltas        bool              `json:"deltas"`         // see pki.Authority
	Indexes       []pki.SearchIndex `json:"indexes"`
}

// CreateAuthority makes a key and a request. Below an online parent the authority
// gets its certificate at once and is active; below an offline one it is pending
// until Install. Where that was cut off below an online parent, as by a crash, the same
// call goes on with the key that was made, and another for the same name is Conflict; a
// refusal leaves no authority. It needs access.ManageAuthorities.
func (s *Service) CreateAuthority(ctx context.Context, g access.Permit, n NewAuthority) (*View, error) {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return nil, err
	}
	parent, err := s.find(ctx, g.Tenant(), n.Parent)
	if err != nil {
		return nil, err
	}
	n.Parent = string(parent.ID) // what it is called may change hands
	if err := n.complete(parent.Mode); err != nil {
		return nil, err
	}
	release, err := s.hold(g.Tenant(), "name "+n.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	a, first, err := s.begun(ctx, g.Tenant(), n.Name)
	if err != nil {
		return nil, err
	}
	if a != nil {
		if other := n.differs(&a.Authority); other != "" {
			return nil, pki.Errorf(pki.Conflict, "the creation of %s was begun with another %s: go on with what it was begun with, or 'pando authority drop'", n.Name, other)
		}
		return s.goOn(ctx, g, a, first)
	}
	return s.create(ctx, g, parent, n)
}

// create makes an authority whose name is free and held.
func (s *Service) create(ctx context.Context, g access.Permit, parent *View, n NewAuthority) (*View, error) {
	if parent.State != pki.AuthorityActive || parent.Kind == pki.Issuing {
		return nil, pki.Errorf(pki.PolicyRefused, "%s is %s and %s: it cannot have authorities below it", parent.Name, parent.Kind, parent.State)
	}
	if err := s.inForce(ctx, parent, parent.Active().ID); err != nil {
		return nil, err
	}
	if err := s.useProfile(ctx, g.Tenant(), &n); err != nil {
		return nil, err
	}
	if err := s.needResponders(ctx, g.Tenant()); err != nil {
		return nil, err
	}
	err := s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.CreateAuthority, Target: "authority:" + n.Name, Payload: n,
		Summary: fmt.Sprintf("an %s authority %s under %s, key %s, profile %s version %d", n.Kind, n.Name, parent.Name, n.KeyKind, n.Profile, n.Version),
	})
	if err != nil {
		return nil, err
	}
	uri, request, err := s.newKey(ctx, g.Tenant(), n.KeyKind, n.CommonName)
	if err != nil {
		return nil, err
	}
	above := parent.Active()
	now := s.cfg.Now().UTC()
	a := &pki.Authority{
		ID: pki.AuthorityID(pki.NewOpaqueID()), Tenant: g.Tenant(), Name: n.Name, CommonName: n.CommonName,
		Kind: n.Kind, Mode: parent.Mode, Parent: parent.ID, Profile: n.Profile, KeyKind: n.KeyKind,
		StatusURL: n.StatusURL, Shards: n.Shards, SignCheck: n.SignCheck,
		RandomSerials: n.RandomSerials, Deltas: n.Deltas, Indexes: n.Indexes, State: pki.AuthorityPending, Created: now,
	}
	i := &pki.Issuer{
		ID: pki.IssuerID(pki.NewOpaqueID()), Authority: a.ID, Tenant: a.Tenant, Mode: a.Mode, Parent: above.ID, State: pki.IssuerPending,
		Key: uri, Request: request, StatusURL: n.StatusURL, Shards: n.Shards, Deltas: n.Deltas, Created: now, ProfileVersion: n.Version,
	}
	err = s.cfg.Store.PutAuthority(ctx, a, i, s.event(g, "authority.create", "authority:"+string(a.ID),
		fmt.Sprintf("%s, %s under %s, key %s", n.Name, n.Kind, parent.Name, n.KeyKind)))
	if err != nil {
		return nil, err
	}
	if above.Key == pki.OfflineKey {
		return &View{*a, []*pki.Issuer{i}}, nil
	}
	return s.issue(ctx, g.For(access.Change{}), a, i, n.CommonName) // the change is executed by now
}

// begun returns the authority of a name whose creation was cut off, with its issuer, nil
// where there is none of the name. It is Conflict where there is another.
func (s *Service) begun(ctx context.Context, tenant pki.TenantID, name string) (*View, *pki.Issuer, error) {
	a, err := s.cfg.Store.AuthorityByName(ctx, tenant, name)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case a.State != pki.AuthorityPending:
		return nil, nil, errNameTaken(name)
	}
	v, err := s.view(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	first, err := s.cutOff(ctx, v)
	if err == nil && first == nil {
		err = errNameTaken(name)
	}
	return v, first, err
}

// differs returns what of an authority that was begun is another than is asked for, "" where
// nothing is.
func (n *NewAuthority) differs(a *pki.Authority) string {
	for _, of := range []struct {
		what string
		same bool
	}{
		{"parent", n.Parent == string(a.Parent)},
		{"common name", n.CommonName == a.CommonName},
		{"kind", n.Kind == a.Kind},
		{"profile", n.Profile == a.Profile},
		{"kind of key", n.KeyKind == "" || n.KeyKind == a.KeyKind},
		{"status URL", n.StatusURL == a.StatusURL},
		{"number of shards", n.Shards == a.Shards},
		{"sign check", n.SignCheck == a.SignCheck},
		{"kind of serial numbers", n.RandomSerials == a.RandomSerials},
		{"choice of delta CRLs", n.Deltas == a.Deltas},
		{"list of indexes", slices.Equal(n.Indexes, a.Indexes)},
	} {
		if !of.same {
			return of.what
		}
	}
	return ""
}

// hold keeps others from making what is being made: until release, a second hold
// of one of the claims within the tenant is Conflict. One process owns a store,
// so that its memory is the place.
func (s *Service) hold(tenant pki.TenantID, claims ...string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, claim := range claims {
		claims[i] = string(tenant) + " " + claim
		if s.held[claims[i]] {
			return nil, pki.Errorf(pki.Conflict, "this authority is being made at this moment, by another request")
		}
	}
	for _, claim := range claims {
		s.held[claim] = true
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, claim := range claims {
			delete(s.held, claim)
		}
	}, nil
}

// nameFree refuses a name that an authority of the tenant has.
func (s *Service) nameFree(ctx context.Context, tenant pki.TenantID, name string) error {
	_, err := s.cfg.Store.AuthorityByName(ctx, tenant, name)
	switch {
	case err == nil:
		return errNameTaken(name)
	case pki.KindOf(err) == pki.NotFound:
		return nil
	}
	return err
}

func errNameTaken(name string) error {
	return pki.Errorf(pki.Conflict, "an authority %q exists already", name)
}

// needResponders refuses a tenant whose authorities could not answer OCSP.
func (s *Service) needResponders(ctx context.Context, tenant pki.TenantID) error {
	_, err := s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: tenant, Name: policy.ResponderProfile})
	if pki.KindOf(err) == pki.NotFound {
		return pki.Errorf(pki.NotReady, "publish a profile named %s first: the authority's OCSP responder needs it ('pando profile packs common %s' prints one)", policy.ResponderProfile, policy.ResponderProfile)
	}
	return err
}

// complete sets defaults and checks the fields, for an authority below one of a mode.
func (n *NewAuthority) complete(mode pki.Mode) error {
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
	case n.Deltas && (n.Shards > 1 || n.StatusURL == ""):
		return pki.Errorf(pki.Malformed, "delta CRLs are to one full CRL at a status URL: take one shard, or shards without deltas")
	}
	var err error
	if n.Indexes, err = searchIndexes(n.Indexes); err != nil {
		return err
	}
	if err := pki.CheckSlug("authority", n.Name); err != nil {
		return err
	}
	if err := pki.CheckText("common name", n.CommonName); err != nil {
		return err
	}
	return policy.CheckStatusURL(n.StatusURL, mode)
}

// useProfile sets which version of its profile an authority is made by, and the kind of
// its key, which is one that the profile allows.
func (s *Service) useProfile(ctx context.Context, tenant pki.TenantID, n *NewAuthority) error {
	p, version, err := s.caProfile(ctx, tenant, n.Profile)
	if err != nil {
		return err
	}
	n.Version = version
	if n.KeyKind == "" {
		n.KeyKind = p.KeyKinds()[0]
	}
	return checkKeyKind(p, n.Profile, n.KeyKind)
}

func checkKeyKind(p *policy.Profile, name string, kind pki.KeyKind) error {
	if !slices.Contains(p.KeyKinds(), kind) {
		return pki.Errorf(pki.BadKey, "the profile %s allows keys of %v, not %.20q", name, p.KeyKinds(), kind)
	}
	return nil
}

func (s *Service) caProfile(ctx context.Context, tenant pki.TenantID, name string) (*policy.Profile, int, error) {
	v, err := s.cfg.Store.Profile(ctx, pki.ProfileRef{Tenant: tenant, Name: name})
	if err != nil {
		return nil, 0, err
	}
	p, err := policy.Parse([]byte(v.Source))
	if err != nil {
		return nil, 0, err
	}
	if !p.CA() {
		return nil, 0, pki.Errorf(pki.PolicyRefused, "the profile %s is not one for authorities", name)
	}
	return p, v.Version, nil
}

// newKey makes the key of a new issuer and its PKCS #10 request.
func (s *Service) newKey(ctx context.Context, tenant pki.TenantID, kind pki.KeyKind, commonName string) (pki.KeyURI, []byte, error) {
	organization, err := s.Organization(ctx, tenant)
	if err != nil {
		return "", nil, err
	}
	subject := tbs.Name{{OID: der.OIDOrganization, Value: organization}, {OID: der.OIDCommonName, Value: commonName}}
	name, err := subject.Append(nil)
	if err != nil {
		return "", nil, err
	}
	uri, err := s.cfg.Keys.Generate(ctx, "software", tenant, kind, keystore.UseCA)
	if err != nil {
		return "", nil, err
	}
	public, _, err := s.cfg.Keys.Public(ctx, uri)
	if err != nil {
		return "", nil, err
	}
	info := tbs.AppendCSR(nil, name, public, nil)
	signature, err := s.cfg.Keys.Sign(ctx, uri, signer.Request, info, true)
	if err != nil {
		return "", nil, err
	}
	return uri, tbs.AppendSigned(nil, info, public.SignatureAlgorithm(), signature), nil
}
