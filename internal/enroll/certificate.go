package enroll

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Certificate returns a certificate that the permit's tenant issued or owns. It
// needs access.ReadCertificates.
func (s *Service) Certificate(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error) {
	if err := g.CheckSome(access.ReadCertificates); err != nil {
		return nil, err
	}
	c, err := s.cfg.Store.Certificate(ctx, g.Tenant(), issuer, serial)
	if err != nil {
		return nil, err
	}
	return c, g.CheckCertificate(ctx, s.cfg.Store, access.ReadCertificates, c)
}

// BlockKeys adds SHA-256 hashes of SubjectPublicKeyInfos to the deployment's
// block list, and returns how many were new. It needs access.ManageBlocklist.
func (s *Service) BlockKeys(ctx context.Context, g access.Permit, hashes [][32]byte) (added int, err error) {
	if err := g.Check(access.ManageBlocklist); err != nil {
		return 0, err
	}
	return s.cfg.Store.BlockKeys(ctx, hashes, pki.Event{
		Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "blocklist.add",
		Target: "blocklist", Detail: fmt.Sprintf("%d hashes", len(hashes)),
	})
}
