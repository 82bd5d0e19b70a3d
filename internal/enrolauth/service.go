package enrolauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/visits"
)

// Store keeps secrets. A change stores its event in the same transaction.
type Store interface {
	// PutSecret stores a secret; NotFound where the tenant has no such endpoint.
	PutSecret(ctx context.Context, s *Secret, e pki.Event) error
	// Secret returns a secret of the tenant, or NotFound.
	Secret(ctx context.Context, tenant pki.TenantID, id pki.SecretID) (*Secret, error)
	// Secrets returns up to limit of the tenant's, newest first, with ids below before
	// where that is not "".
	Secrets(ctx context.Context, tenant pki.TenantID, f Filter, before pki.SecretID, limit int) ([]*Secret, error)
	// ChosenSecrets returns those of an endpoint whose text somebody chose, which hold at a
	// time.
	ChosenSecrets(ctx context.Context, tenant pki.TenantID, endpoint string, at time.Time) ([]*Secret, error)
	// RevokeSecret sets the time of revocation; NotFound where the tenant has no such
	// secret.
	RevokeSecret(ctx context.Context, tenant pki.TenantID, id pki.SecretID, at time.Time, e pki.Event) error

	access.AuthorityNames
	// Endpoint is enroll.Store's, as is Claimed.
	Endpoint(ctx context.Context, tenant pki.TenantID, name string) (*pki.Endpoint, error)
	Claimed(ctx context.Context, owner pki.TenantID, idempotency string) (e issuance.Earlier, request [32]byte, err error)

	NoticeStore
}

// Filter says which secrets are wanted; what is empty is any.
type Filter struct {
	Endpoint string
	Device   pki.DeviceID
}

// Registry knows devices; registry.Service is one.
type Registry interface {
	Admit(ctx context.Context, owner pki.TenantID, device pki.DeviceID) error
	Where(ctx context.Context, owner pki.TenantID, device pki.DeviceID) (p pki.Placement, known bool, err error)
}

// Tokens proves by API tokens; access.Tokens does.
type Tokens interface {
	Authenticate(ctx context.Context, text pki.Secret) (access.Principal, error)
}

// Trust proves by client certificates; trust.Service does.
type Trust interface {
	Authenticate(ctx context.Context, presented []*x509.Certificate, tenant pki.TenantID) (access.Principal, error)
	// AuthenticateRenewal also proves by a certificate that has expired, for its renewal.
	AuthenticateRenewal(ctx context.Context, presented []*x509.Certificate, tenant pki.TenantID) (access.Principal, error)
}

// Tenants tells of tenants; hierarchy.Service does.
type Tenants interface {
	CheckSuspended(ctx context.Context, tenant pki.TenantID) error
}

// Config is what a Service is made of; every field but Visits and Family is needed.
type Config struct {
	Store    Store
	Registry Registry
	Tokens   Tokens
	Trust    Trust
	Tenants  Tenants
	Family   pki.FamilyOf
	Alarms   *alarm.Board
	Visits   *visits.Book // of what proves nobody; nil is none
	Now      pki.Clock

	Validators Validators
	Sealer     Sealer // of what validators are to be told
	Keyed      Keyed
}

// A Service keeps enrolment secrets, and proves who asks to enrol. Its methods are safe
// for concurrent use.
type Service struct {
	cfg    Config
	chosen *chosen
	asked  *places // of validators

	mu     sync.Mutex
	floods map[string]*flood // by label; guarded by mu
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, chosen: newChosen(cfg.Keyed), asked: newPlaces(maxAsked, maxAskedSource, maxAskedFamily), floods: make(map[string]*flood)}
}

// Create makes a secret in the permit's tenant and returns it with its text, which is not
// kept and cannot be had again. It needs access.ManageSecrets where the endpoint is, and
// where the device is of a secret for one; and whoever makes it could enrol there
// themselves.
func (s *Service) Create(ctx context.Context, g access.Permit, n NewSecret) (*Secret, pki.Secret, error) {
	none := pki.Secret{}
	if err := n.check(); err != nil {
		return nil, none, err
	}
	ep, err := s.endpoint(ctx, g, access.ManageSecrets, n.Endpoint)
	if err != nil {
		return nil, none, err
	}
	if err := s.checkGive(ctx, g, ep, n.Device); err != nil {
		return nil, none, err
	}
	if err := s.cfg.Registry.Admit(ctx, g.Tenant(), n.Device); err != nil {
		return nil, none, err
	}
	now := s.cfg.Now().UTC()
	made := &Secret{
		ID: pki.SecretID(pki.NewID(now)), Tenant: g.Tenant(), Endpoint: ep.Name, Name: n.Name, Device: n.Device, Subject: n.Subject, Once: n.Once,
		Maker: g.Principal().ID, Created: now, Expires: now.Add(n.Life),
	}
	text := n.Chosen
	if text.IsZero() {
		text = newText(made.ID)
		sum := sha256.Sum256([]byte(text.Reveal()))
		made.Hash = sum[:]
	} else if err := s.choose(ctx, made, text); err != nil {
		return nil, none, err
	}
	if err := s.cfg.Store.PutSecret(ctx, made, s.event(g, "secret.create", made, made.says())); err != nil {
		return nil, none, err
	}
	return made, text, nil
}

// maxChosenSecrets bounds the secrets of an endpoint whose text somebody chose and that
// hold: a challenge comes without a name, and each of them is tried.
const maxChosenSecrets = 4

// choose hashes a text that somebody chose.
func (s *Service) choose(ctx context.Context, made *Secret, text pki.Secret) error {
	have, err := s.cfg.Store.ChosenSecrets(ctx, made.Tenant, made.Endpoint, made.Created)
	if err != nil {
		return err
	}
	if len(have) >= maxChosenSecrets {
		return pki.Errorf(pki.Conflict, "the endpoint %s has %d secrets whose text was chosen: revoke one of them, or leave the text out for a random one, of which there can be any number", made.Endpoint, maxChosenSecrets)
	}
	made.Salt = make([]byte, keyedSalt)
	rand.Read(made.Salt)
	made.Hash, err = s.chosen.hash(ctx, netip.Addr{}, s.cfg.Family.Of(made.Tenant), text.Reveal(), made.Salt)
	return err
}

// checkGive refuses a secret that gives more than whoever makes it has: at an endpoint,
// for any device or for one, wherever that is.
func (s *Service) checkGive(ctx context.Context, g access.Permit, ep *pki.Endpoint, device pki.DeviceID) error {
	where, err := s.where(ctx, ep, device)
	if err != nil {
		return err
	}
	if err := g.CheckAt(access.ManageSecrets, where); err != nil {
		return err
	}
	enrols, err := g.Principal().Authorize(access.Enroll, g.Tenant())
	if err != nil {
		return err
	}
	return enrols.CheckAt(access.Enroll, where)
}

// where returns where a secret is that is for a device at an endpoint.
func (s *Service) where(ctx context.Context, ep *pki.Endpoint, device pki.DeviceID) (access.Scope, error) {
	authority, err := s.cfg.Store.AuthorityName(ctx, ep.Tenant, ep.Authority)
	where := access.Scope{Endpoint: ep.Name, Authority: authority}
	if err != nil || device == "" {
		return where, err
	}
	is, _, err := s.cfg.Registry.Where(ctx, ep.Tenant, device)
	where.ProductLine, where.Site = is.ProductLine, is.Site
	return where, err
}

// endpoint returns an endpoint that may be within a permit, by its name or label.
func (s *Service) endpoint(ctx context.Context, g access.Permit, permission access.Permission, nameOrLabel string) (*pki.Endpoint, error) {
	name, err := nameOf(g.Tenant(), nameOrLabel)
	if err != nil {
		return nil, err
	}
	// Before it is looked up: a name outside the scope is not told from none.
	if err := g.CheckToward(permission, access.Scope{Endpoint: name}); err != nil {
		return nil, err
	}
	return s.cfg.Store.Endpoint(ctx, g.Tenant(), name)
}

// A Use is what a secret for one certificate led to.
type Use struct {
	Issuer pki.IssuerID
	Serial pki.Serial
}

// Secret returns a secret of the permit's tenant, and what it was used for where it is
// for one certificate; nil for nothing. It needs access.ReadConfiguration where the
// secret is.
func (s *Service) Secret(ctx context.Context, g access.Permit, id pki.SecretID) (*Secret, *Use, error) {
	found, err := s.secret(ctx, g, access.ReadConfiguration, id)
	if err != nil || !found.Once {
		return found, nil, err
	}
	earlier, _, err := s.cfg.Store.Claimed(ctx, found.Tenant, found.onceKey())
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return found, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return found, &Use{earlier.Issuer, earlier.Serial}, nil
}

// secret returns a secret that is within a permit.
func (s *Service) secret(ctx context.Context, g access.Permit, permission access.Permission, id pki.SecretID) (*Secret, error) {
	if err := g.CheckSome(permission); err != nil {
		return nil, err
	}
	found, err := s.cfg.Store.Secret(ctx, g.Tenant(), id)
	if err != nil {
		return nil, err
	}
	return found, s.checkWithin(ctx, g, permission, found)
}

func (s *Service) checkWithin(ctx context.Context, g access.Permit, permission access.Permission, found *Secret) error {
	if g.Whole() {
		return nil
	}
	ep, err := s.cfg.Store.Endpoint(ctx, found.Tenant, found.Endpoint)
	if err != nil {
		return err
	}
	where, err := s.where(ctx, ep, found.Device)
	if err != nil {
		return err
	}
	return g.CheckAt(permission, where)
}

// Secrets returns up to limit secrets of the permit's tenant, newest first, with ids
// below before, and where the next page begins ("" after the last). Those outside of the
// permit's scopes are left out. It needs access.ReadConfiguration.
func (s *Service) Secrets(ctx context.Context, g access.Permit, f Filter, before pki.SecretID, limit int) (all []*Secret, next pki.SecretID, err error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, "", err
	}
	if f.Endpoint != "" {
		if f.Endpoint, err = nameOf(g.Tenant(), f.Endpoint); err != nil {
			return nil, "", err
		}
	}
	all, err = s.cfg.Store.Secrets(ctx, g.Tenant(), f, before, limit)
	if err != nil {
		return nil, "", err
	}
	if len(all) == limit {
		next = all[limit-1].ID
	}
	var seen []*Secret
	for _, one := range all {
		err := s.checkWithin(ctx, g, access.ReadConfiguration, one)
		if err != nil && pki.KindOf(err) != pki.Forbidden {
			return nil, "", err
		}
		if err == nil {
			seen = append(seen, one)
		}
	}
	return slices.Clip(seen), next, nil
}

// Revoke ends a secret of the permit's tenant, at once on all nodes. It needs
// access.ManageSecrets where the secret is.
func (s *Service) Revoke(ctx context.Context, g access.Permit, id pki.SecretID) error {
	found, err := s.secret(ctx, g, access.ManageSecrets, id)
	if err != nil {
		return err
	}
	return s.cfg.Store.RevokeSecret(ctx, g.Tenant(), id, s.cfg.Now().UTC(), s.event(g, "secret.revoke", found, "endpoint "+found.Endpoint))
}

func (s *Service) event(g access.Permit, action string, of *Secret, detail string) pki.Event {
	return pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: action, Target: of.Principal(), Detail: detail, Change: g.Change().ID}
}
