package enroll

import (
	"context"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

type Service struct{}

// Request asks for one certificate.
type Request struct {
	Grant       access.Grant // of access.Enroll in the endpoint's tenant
	Endpoint    string       // label
	Protocol    pki.Protocol
	CSR         []byte       // DER
	Device      pki.DeviceID // "" is the subject's serialNumber, else its CN, where the profile needs a device
	Placement   pki.Placement
	Attributes  map[string]string
	Idempotency string // "" for none; at most 128 bytes
}

func (s *Service) Enroll(ctx context.Context, r Request) (*pki.Enrollment, error) { panic("unwritten") }

// NewEndpoint is an endpoint to create, or what to change of one: zero fields stay as they are.
type NewEndpoint struct {
	Name      string
	Authority string // name or id
	Profile   string // name
	Version   int    // 0 is the latest
	Protocols []pki.Protocol
	Names     pki.Names
}

func (s *Service) CreateEndpoint(ctx context.Context, g access.Grant, n NewEndpoint) (*pki.Endpoint, error) {
	panic("unwritten")
}
func (s *Service) UpdateEndpoint(ctx context.Context, g access.Grant, n NewEndpoint) (*pki.Endpoint, error) {
	panic("unwritten")
}
func (s *Service) Endpoint(ctx context.Context, g access.Grant, name string) (*pki.Endpoint, error) {
	panic("unwritten")
}
func (s *Service) Endpoints(ctx context.Context, g access.Grant) ([]*pki.Endpoint, error) {
	panic("unwritten")
}

// Certificate, Certificates: access.ReadCertificates.
func (s *Service) Certificate(ctx context.Context, g access.Grant, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error) {
	panic("unwritten")
}
func (s *Service) Certificates(ctx context.Context, g access.Grant, device pki.DeviceID, cursor string, limit int) ([]*pki.Certificate, string, error) {
	panic("unwritten")
}

// BlockKeys: access.ManageBlocklist. Hashes are SHA-256 of the SubjectPublicKeyInfo.
func (s *Service) BlockKeys(ctx context.Context, g access.Grant, hashes [][32]byte) (added int, err error) {
	panic("unwritten")
}
