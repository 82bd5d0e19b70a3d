// Package trust proves who asks by a client certificate: from authorities that a
// tenant names, for what it gives to those that they certify.
//
// It does not speak TLS: the listener has shown that the peer holds the key.
package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// An Anchor is an authority whose certificates prove who asks, within one tenant.
type Anchor struct {
	ID          string
	Tenant      pki.TenantID
	Name        string
	Issuer      pki.IssuerID   // of the tenant's own authority, whose other issuers count as well; "" where it was imported
	Certificate []byte         // DER, of a CA
	Grants      []access.Grant // of everybody whom it certifies
	Created     time.Time
}

// Principal returns what grants name all whom the anchor certifies.
func (a *Anchor) Principal() string { return Principal(a.Name) }

// Principal returns what grants name all whom an anchor of the name certifies.
func Principal(name string) string { return "trust:" + name }

// devices reports whether those whom the anchor certifies are devices, which enrol for
// themselves.
func (a *Anchor) devices() bool {
	return slices.ContainsFunc(a.Grants, func(g access.Grant) bool { return g.Role == access.Device })
}

// Store keeps anchors. A change stores its event in the same transaction.
type Store interface {
	// PutAnchor stores an anchor with its grants; Conflict where its tenant has one of the
	// name, or an own role of a grant does not include what the grant says.
	PutAnchor(ctx context.Context, a *Anchor, e pki.Event) error
	// Anchors returns a tenant's anchors, by name.
	Anchors(ctx context.Context, tenant pki.TenantID) ([]*Anchor, error)
	// AllAnchors returns those of all tenants: the tenant of a certificate comes
	// from the anchor that it leads to.
	AllAnchors(ctx context.Context) ([]*Anchor, error)
	// ChangeAnchor gives an anchor, which is known by its id, its grants in the place of
	// those that it had. NotFound where it is gone, Conflict where it has others by now, or
	// an own role of a new one does not include what the grant says.
	ChangeAnchor(ctx context.Context, a *Anchor, had []access.Grant, e pki.Event) error
	// RemoveAnchor removes an anchor, which is known by its id, or is NotFound.
	RemoveAnchor(ctx context.Context, a *Anchor, e pki.Event) error

	access.ScopeStore
	AllIssuers(ctx context.Context) ([]*pki.Issuer, error)
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error)
	// Asker returns who asked for a certificate or submitted its batch, as events have
	// it; "" where that is not known.
	Asker(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (string, error)
	// Certificate is issuance.Store's.
	Certificate(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error)
	// Device is registry.Store's.
	Device(ctx context.Context, owner pki.TenantID, id pki.DeviceID) (*registry.Device, error)
}

// A Directory knows the tenant's own authorities.
type Directory interface {
	FindAuthority(ctx context.Context, tenant pki.TenantID, nameOrID string) (pki.AuthorityID, error)
	Line(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (*issuance.Line, error)
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store     Store
	Directory Directory
	Gate      Gate
	Now       pki.Clock
}

// A Service keeps anchors and proves by them. Its methods are safe for concurrent
// use.
type Service struct {
	cfg Config

	mu    sync.Mutex
	known *known // guarded by mu, as is stale; replaced, never changed
	stale bool   // something was changed here since
}

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg: cfg} }

// MaxAnchors is the largest number of anchors of a tenant.
const MaxAnchors = 100

// maxCertificate is the size of the largest certificate that is imported, or that a
// client proves itself by, in bytes.
const maxCertificate = 16 << 10

// NewAnchor is what is asked for: one of Authority and Certificate is set.
type NewAnchor struct {
	Name        string
	Authority   string // name or id of the tenant's own
	Certificate []byte // DER
	Role        access.Role
	Scopes      []access.Scope // nil is the whole tenant
}

// Add makes an anchor of the permit's tenant. It needs access.ManageTrust. An imported
// certificate is Malformed unless it is a CA's that signs certificates: what a mere
// device's key signs proves nothing (RFC 5280, 4.2.1.3 and 4.2.1.9).
func (s *Service) Add(ctx context.Context, g access.Permit, n NewAnchor) (*Anchor, error) {
	if err := g.CheckSome(access.ManageTrust); err != nil {
		return nil, err
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	now := s.cfg.Now().UTC()
	a := &Anchor{ID: pki.NewID(now), Tenant: g.Tenant(), Name: n.Name, Certificate: n.Certificate, Created: now}
	var err error
	var authority pki.AuthorityID
	if a.Grants, err = access.NewGrants(ctx, g, s.cfg.Store, a.Principal(), n.Role, n.Scopes, now); err != nil {
		return nil, err
	}
	if n.Authority != "" {
		if authority, err = s.cfg.Directory.FindAuthority(ctx, g.Tenant(), n.Authority); err != nil {
			return nil, err
		}
		line, err := s.cfg.Directory.Line(ctx, g.Tenant(), authority)
		if err != nil {
			return nil, err
		}
		a.Issuer, a.Certificate = line.Issuer.ID, line.Issuer.Certificate
	}
	if err := checkCA(a.Certificate, now); err != nil {
		return nil, err
	}
	have, err := s.cfg.Store.Anchors(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	if len(have) >= MaxAnchors {
		return nil, pki.Errorf(pki.Conflict, "a tenant trusts %d authorities at most", MaxAnchors)
	}
	if slices.ContainsFunc(have, func(h *Anchor) bool { return h.Name == a.Name }) {
		return nil, pki.Errorf(pki.Conflict, "there is a trusted authority %q already: take another name, or remove it first", a.Name)
	}
	if err := s.checkOnce(ctx, have, a, authority); err != nil {
		return nil, err
	}
	if err := s.passAdd(ctx, g, &n, authority, a); err != nil {
		return nil, err
	}
	detail := fmt.Sprintf("%s, certificate %x", access.GrantsText(a.Grants), fingerprint(a.Certificate))
	if err := s.cfg.Store.PutAnchor(ctx, a, s.event(g, "trust.add", a.Name, detail)); err != nil {
		return nil, err
	}
	s.Forget()
	return a, nil
}

// checkOnce is Conflict where the tenant trusts the authority of an anchor already, by
// the certificate or as its own: a certificate proves somebody by one anchor, so that a
// second one would have no effect, or take away what the first gives.
func (s *Service) checkOnce(ctx context.Context, have []*Anchor, a *Anchor, authority pki.AuthorityID) error {
	issuers, err := s.cfg.Store.AllIssuers(ctx)
	if err != nil {
		return err
	}
	for _, h := range have {
		ours := func(i *pki.Issuer) bool { return i.ID == h.Issuer && i.Authority == authority }
		if bytes.Equal(h.Certificate, a.Certificate) || authority != "" && slices.ContainsFunc(issuers, ours) {
			return pki.Errorf(pki.Conflict, "the authority is trusted already, as %q, and that is once: to change its scopes update it, with all of them", h.Name)
		}
	}
	return nil
}

func (n *NewAnchor) check() error {
	if err := pki.CheckSlug("trusted authority", n.Name); err != nil {
		return err
	}
	if n.Scopes == nil {
		n.Scopes = []access.Scope{{}}
	}
	switch {
	case (n.Authority == "") == (len(n.Certificate) == 0):
		return pki.Errorf(pki.Malformed, "name one of your own authorities, or give the certificate of another")
	case len(n.Certificate) > maxCertificate:
		return pki.Errorf(pki.Malformed, "the certificate is longer than %d bytes", maxCertificate)
	}
	return checkScopes(n.Role, n.Scopes)
}

// checkScopes refuses scopes on which a role would let devices enrol at endpoints that
// nobody named.
func checkScopes(role access.Role, scopes []access.Scope) error {
	if role == access.Device && slices.ContainsFunc(scopes, func(s access.Scope) bool { return s.Endpoint == "" }) {
		return pki.Errorf(pki.Malformed, "for devices name the endpoints at which they may enrol, as endpoint:meter")
	}
	return nil
}

func checkCA(der []byte, now time.Time) error {
	c, err := x509.ParseCertificate(der)
	switch {
	case err != nil:
		return pki.Because(pki.Malformed, err, "it is not one DER certificate")
	case !c.BasicConstraintsValid || !c.IsCA:
		return pki.Errorf(pki.Malformed, "the certificate of %.100q is not a CA's: its basicConstraints do not say CA:TRUE", c.Subject)
	case c.KeyUsage&x509.KeyUsageCertSign == 0:
		return pki.Errorf(pki.Malformed, "the certificate of %.100q is not for signing certificates: its keyUsage lacks keyCertSign", c.Subject)
	case now.After(c.NotAfter):
		return pki.Errorf(pki.Malformed, "the certificate of %.100q ended at %s", c.Subject, c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// Anchors returns the anchors of the permit's tenant. It needs
// access.ReadConfiguration.
func (s *Service) Anchors(ctx context.Context, g access.Permit) ([]*Anchor, error) {
	if err := g.Check(access.ReadConfiguration); err != nil {
		return nil, err
	}
	return s.cfg.Store.Anchors(ctx, g.Tenant())
}

// Remove ends the trust in an anchor of the permit's tenant: here at once, on other
// nodes within two seconds. It needs access.ManageTrust.
func (s *Service) Remove(ctx context.Context, g access.Permit, name string) error {
	if err := g.Check(access.ManageTrust); err != nil {
		return err
	}
	a, err := s.find(ctx, g.Tenant(), name)
	if err != nil {
		return err
	}
	if err := s.passRemove(ctx, g, a); err != nil {
		return err
	}
	defer s.Forget() // also after an error, which may mean that the outcome is unknown
	return s.cfg.Store.RemoveAnchor(ctx, a, s.event(g, "trust.remove", name, ""))
}

// find returns the anchor of a tenant with the name, or is NotFound.
func (s *Service) find(ctx context.Context, tenant pki.TenantID, name string) (*Anchor, error) {
	have, err := s.cfg.Store.Anchors(ctx, tenant)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(have, func(a *Anchor) bool { return a.Name == name })
	if at < 0 {
		return nil, pki.Errorf(pki.NotFound, "no trusted authority %.60q", name)
	}
	return have[at], nil
}

func (s *Service) event(g access.Permit, action, name, detail string) pki.Event {
	return pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: action, Target: Principal(name), Detail: detail, Change: g.Change().ID}
}
