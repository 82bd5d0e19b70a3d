// Package hierarchy keeps tenants and their trust hierarchies: authorities,
// their issuers over time, the profiles they sign by, and the chains that
// relying parties fetch.
package hierarchy

import (
	"context"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

type Service struct{}

// CreateTenant: access.ManageTenants.
func (s *Service) CreateTenant(ctx context.Context, g access.Grant, id pki.TenantID, organization string) (*pki.Tenant, error) {
	panic("unwritten")
}
func (s *Service) Tenants(ctx context.Context, g access.Grant) ([]*pki.Tenant, error) {
	panic("unwritten")
}

// Tenant returns the grant's own tenant (any permission that is valid in it): access.ReadConfiguration.
func (s *Service) Tenant(ctx context.Context, g access.Grant) (*pki.Tenant, error) {
	panic("unwritten")
}

// NewRoot is a root whose certificate a ceremony made.
type NewRoot struct {
	Name        string
	Mode        pki.Mode
	StatusURL   string
	Certificate []byte // DER
}

func (s *Service) ImportRoot(ctx context.Context, g access.Grant, n NewRoot) (*View, error) {
	panic("unwritten")
}

// NewAuthority is an authority that gets a key here and a certificate from its parent.
type NewAuthority struct {
	Name       string
	CommonName string
	Kind       pki.AuthorityKind // intermediate or issuing
	Parent     string            // name or id; the mode is the parent's
	Profile    string            // of its certificate; "" is issuing-ca
	KeyKind    pki.KeyKind       // "" is the profile's first
	StatusURL  string
	Shards     int           // 0 is 1
	SignCheck  pki.SignCheck // "" is CheckHardware
}

func (s *Service) CreateAuthority(ctx context.Context, g access.Grant, n NewAuthority) (*View, error) {
	panic("unwritten")
}

// A View is an authority with its issuers, newest first.
type View struct {
	pki.Authority
	Issuers []*pki.Issuer
}

// Authority finds by name or id.
func (s *Service) Authority(ctx context.Context, g access.Grant, nameOrID string) (*View, error) {
	panic("unwritten")
}
func (s *Service) Authorities(ctx context.Context, g access.Grant) ([]*View, error) {
	panic("unwritten")
}
func (s *Service) Retire(ctx context.Context, g access.Grant, nameOrID string) error {
	panic("unwritten")
}

// Request returns the file to carry to the ceremony: for a pending authority its
// certificate; for a root its next CRL, of days until its next update.
func (s *Service) Request(ctx context.Context, g access.Grant, nameOrID string) (*ceremony.Request, error) {
	panic("unwritten")
}
func (s *Service) CRLRequest(ctx context.Context, g access.Grant, root string, days int) (*ceremony.Request, error) {
	panic("unwritten")
}

// Install takes the ceremony's answer: the certificate of a pending authority, or a root's CRL.
func (s *Service) Install(ctx context.Context, g access.Grant, r *ceremony.Response) (*View, error) {
	panic("unwritten")
}

// Chain returns DER certificates: the issuer's own, then up to and with the root. Public.
func (s *Service) Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error) {
	panic("unwritten")
}

// PublishProfile: access.ManageProfiles. Profile, Profiles: access.ReadConfiguration.
func (s *Service) PublishProfile(ctx context.Context, g access.Grant, source []byte) (*pki.ProfileVersion, error) {
	panic("unwritten")
}
func (s *Service) Profile(ctx context.Context, g access.Grant, name string, version int) (*pki.ProfileVersion, error) {
	panic("unwritten")
}
func (s *Service) Profiles(ctx context.Context, g access.Grant) ([]*pki.ProfileVersion, error) {
	panic("unwritten")
}

// Events: access.ReadEvents.
func (s *Service) Events(ctx context.Context, g access.Grant, before string, limit int) ([]pki.Event, error) {
	panic("unwritten")
}

// Line and Bound serve enroll.
func (s *Service) Line(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) (*issuance.Line, error) {
	panic("unwritten")
}
func (s *Service) Bound(ctx context.Context, ref pki.ProfileRef, line *issuance.Line) (*policy.Bound, error) {
	panic("unwritten")
}
