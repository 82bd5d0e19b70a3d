// Package hierarchy keeps tenants and their trust hierarchies: authorities,
// their issuers over time, the profiles they sign by, and the chains that
// relying parties fetch.
//
// It holds no key and signs no certificate: a root is made and used in a
// ceremony, of which this package writes the requests and takes the answers.
package hierarchy

import (
	"context"
	"sync"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// Keys makes the keys of authorities and signs their requests.
type Keys interface {
	Generate(ctx context.Context, scheme string, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error)
	Public(ctx context.Context, key pki.KeyURI) (public tbs.PublicKey, hardware bool, err error)
	Sign(ctx context.Context, key pki.KeyURI, purpose signer.Purpose, message []byte, check bool) ([]byte, error)
}

// CRLs keeps the CRLs of issuers whose key is offline.
type CRLs interface {
	InstallCRL(ctx context.Context, g access.Permit, der []byte) error
}

// An RA has the certificates of authorities below online ones issued.
type RA interface {
	Subordinate(ctx context.Context, g access.Permit, parent pki.AuthorityID, profile pki.ProfileRef, commonName string, issuer *pki.Issuer) (*pki.Certificate, error)
	// Subordinated returns what Subordinate issued for an issuer, or NotFound.
	Subordinated(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID) (*pki.Certificate, error)
}

// A CA records certificates that were signed in a ceremony.
type CA interface {
	// Registration returns what Store.InstallIssuer stores of a certificate of the
	// parent's, nil for one that is stored already.
	Registration(ctx context.Context, parent *pki.Issuer, profile pki.ProfileRef, certificate *tbs.Parsed) (*issuance.Intent, error)
}

// A Gate has acts of weight wait for approval.
type Gate interface {
	Pass(ctx context.Context, g access.Permit, r approval.Request) error
	// CheckSteps refuses steps that nobody in a tenant could follow.
	CheckSteps(ctx context.Context, tenant pki.TenantID, steps []approval.Step) error
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store       Store
	Revocations revocation.Store // read for the CRLs that are asked of a ceremony
	CRLs        CRLs
	Keys        Keys
	RA          RA
	CA          CA
	Gate        Gate
	Now         pki.Clock
}

// A Service keeps hierarchies. Its methods are safe for concurrent use.
type Service struct {
	cfg Config

	mu    sync.RWMutex // guards all of the below
	lines map[pki.AuthorityID]cachedLine

	suspensions   map[pki.TenantID]knownSuspension
	suspensionAge int // grows with each change
	bound         map[boundKey]*policy.Bound
	chains        map[pki.IssuerID][][]byte // of issuers with a certificate: never changed
	held          map[string]bool           // claims of hold
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{
		cfg:   cfg,
		lines: make(map[pki.AuthorityID]cachedLine),

		suspensions: make(map[pki.TenantID]knownSuspension),
		bound:       make(map[boundKey]*policy.Bound),
		chains:      make(map[pki.IssuerID][][]byte),
		held:        make(map[string]bool),
	}
}

// event makes the event of an act under the permit, which executes the change that
// the permit is for.
func (s *Service) event(g access.Permit, action, target, detail string) pki.Event {
	return pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: action, Target: target, Detail: detail, Change: g.Change().ID}
}

// Events returns events of the permit's tenant as Store.Events does. It needs
// access.ReadEvents.
func (s *Service) Events(ctx context.Context, g access.Permit, f EventFilter, before string, limit int) (events []pki.Event, next string, err error) {
	if err := g.Check(access.ReadEvents); err != nil {
		return nil, "", err
	}
	return s.cfg.Store.Events(ctx, g.Tenant(), f, before, limit)
}
