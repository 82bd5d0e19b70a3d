package enroll

import (
	"context"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// CACertificates returns, in DER, the certificates of authorities that a client of an
// endpoint needs (RFC 7030, 4.1.3): those of its authority, of the ones above, and of
// the root, of each all that have not expired, so that a client follows from an issuer to
// the next, of the next and the earlier ones none that is revoked, and the links between
// roots. They are public. NotFound where there is no endpoint of the label, or none that
// takes the protocol: whether there is one is not anybody's business.
func (s *Service) CACertificates(ctx context.Context, label string, protocol pki.Protocol) ([][]byte, error) {
	lane, err := s.public(ctx, label, protocol)
	if err != nil {
		return nil, err
	}
	return s.cfg.Directory.Above(ctx, lane.line.Authority.Tenant, lane.line.Authority.ID)
}

// RequestAttributes returns what a request must have at an endpoint, as DER CsrAttrs (RFC
// 7030, 4.5); nil where that is nothing. It is told to anybody, as CACertificates is.
func (s *Service) RequestAttributes(ctx context.Context, label string, protocol pki.Protocol) ([]byte, error) {
	lane, err := s.public(ctx, label, protocol)
	if err != nil {
		return nil, err
	}
	return lane.profile.Profile().RequestAttributes(), nil
}

// public returns the lane of an endpoint for what anybody may know of it.
func (s *Service) public(ctx context.Context, label string, protocol pki.Protocol) (*Lane, error) {
	tenant, name, _ := strings.Cut(label, ".")
	lane, err := s.lane(ctx, pki.TenantID(tenant), name)
	if err == nil && !slices.Contains(lane.Endpoint.Protocols, protocol) {
		err = pki.Errorf(pki.NotFound, "")
	}
	if pki.KindOf(err) == pki.NotFound {
		return nil, pki.Errorf(pki.NotFound, "no endpoint %.90q takes %s", label, protocol)
	}
	return lane, err
}
