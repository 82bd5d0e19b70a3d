package enroll

import (
	"context"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/tbs"
	"github.com/pando-pki/pando/internal/visits"
)

// A Directory knows authorities, profiles and tenants.
type Directory interface {
	// Line returns an active authority with its issuer.
	Line(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (*issuance.Line, error)
	// IssuerLine returns the line of one issuer, also of a retired authority.
	IssuerLine(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID) (*issuance.Line, error)
	// Bound returns a profile version compiled for the line's issuer.
	Bound(ctx context.Context, ref pki.ProfileRef, line *issuance.Line) (*policy.Bound, error)
	// Chain returns an issuer's certificate and up to and with the root.
	Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error)
	// Above returns the certificates of an authority and of those above it, of each all
	// that have not expired.
	Above(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([][]byte, error)
	Organization(ctx context.Context, tenant pki.TenantID) (string, error)
	// Loan returns what a child's parent lends to it under a name.
	Loan(ctx context.Context, child pki.TenantID, name string) (*pki.Loan, error)
	// LoanOf returns what is lent to a child of an authority with a profile.
	LoanOf(ctx context.Context, child pki.TenantID, authority pki.AuthorityID, profile string) (*pki.Loan, error)
	FindAuthority(ctx context.Context, tenant pki.TenantID, nameOrID string) (pki.AuthorityID, error)
	// ResolveProfile returns the exact version that ref means; 0 is the latest.
	ResolveProfile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error)
}

// A CA issues what was decided; issuance.Service is one.
type CA interface {
	// Time returns the time to decide by, or is Unavailable while the clock is wrong.
	Time() (time.Time, error)
	// Coming says that a request is being decided on, which may be issued next;
	// what it returns is called when that is over.
	Coming() (over func())
	// Each does the work of a batch on the cores that single requests leave to it.
	Each(n int, f func(i int) error) error
	Issue(ctx context.Context, o *issuance.Order) (c *pki.Certificate, repeated bool, err error)
	// Await returns what an earlier request led to, nil where it came to nothing.
	Await(ctx context.Context, owner pki.TenantID, e *issuance.Earlier) (*pki.Certificate, error)
	IssuePair(ctx context.Context, orders [2]*issuance.Order) (pair [2]*pki.Certificate, repeated bool, err error)
	IssueChunk(ctx context.Context, line *issuance.Line, batch pki.BatchID, chunk int, items []*issuance.Item, refusals []issuance.Refusal) error
}

// A Registry knows devices and the places that they are made in; registry.Service
// is one.
type Registry interface {
	// Admit refuses a device that may not enrol.
	Admit(ctx context.Context, owner pki.TenantID, device pki.DeviceID) error
	// Where returns the place of a device, and whether there is one of the id.
	Where(ctx context.Context, owner pki.TenantID, device pki.DeviceID) (p pki.Placement, known bool, err error)
	// Complete returns a placement with what is known of its lot, or refuses it.
	Complete(ctx context.Context, tenant pki.TenantID, p pki.Placement) (pki.Placement, error)
}

// Validators knows the services that check challenges, which endpoints name; package
// validator does.
type Validators interface {
	// Check is NotFound where a tenant's endpoints cannot name a validator.
	Check(tenant pki.TenantID, name string) error
}

// Config is what a Service is made of; every field but Visits is needed.
type Config struct {
	Store     Store
	Directory Directory
	CA        CA
	Registry  Registry
	Gate      Gate
	Keys      Keys // for those who cannot make their own
	Now       pki.Clock
	Visits    *visits.Book // of what came, for people; nil is none

	Validators Validators
	Sealer     Sealer // of requests that wait
}

// A Service is the registration authority. Its methods are safe for concurrent
// use.
type Service struct {
	cfg      Config
	refused  stat.ByKind
	requests tbs.CSRReader

	mu    sync.RWMutex
	lanes map[string]cachedLane // by label
}

type cachedLane struct {
	lane  *Lane
	until time.Time
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, lanes: make(map[string]cachedLane)}
}

// Refused returns how many single requests got no certificate, by why.
func (s *Service) Refused() *stat.ByKind { return &s.refused }
