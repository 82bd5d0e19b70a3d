package enroll

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// MaxPage is the largest page of a list.
const MaxPage = 1000

// Certificate returns a certificate that the grant's tenant issued or owns. It
// needs access.ReadCertificates.
func (s *Service) Certificate(ctx context.Context, g access.Grant, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error) {
	if err := g.Check(access.ReadCertificates); err != nil {
		return nil, err
	}
	if err := checkWhole(g); err != nil {
		return nil, err
	}
	return s.cfg.Store.Certificate(ctx, g.Tenant(), issuer, serial)
}

// Certificates returns up to limit certificates that the grant's tenant issued
// or owns, newest first, of one device or, where it is empty, of all; and the
// cursor of the next page, "" at the end. It needs access.ReadCertificates.
func (s *Service) Certificates(ctx context.Context, g access.Grant, device pki.DeviceID, cursor string, limit int) ([]*pki.Certificate, string, error) {
	if err := g.Check(access.ReadCertificates); err != nil {
		return nil, "", err
	}
	if err := checkWhole(g); err != nil {
		return nil, "", err
	}
	if limit < 1 || limit > MaxPage {
		return nil, "", pki.Errorf(pki.Malformed, "limit %d: from 1 to %d", limit, MaxPage)
	}
	return s.cfg.Store.Certificates(ctx, g.Tenant(), device, cursor, limit)
}

// checkWhole refuses a principal whose scope is some endpoints: a certificate is
// not kept by endpoint, so the tenant's certificates are read as a whole. Those of
// a batch come with its results.
func checkWhole(g access.Grant) error {
	if len(g.Principal().Endpoints) > 0 {
		return pki.Errorf(pki.Forbidden, "this token is for some endpoints only; reading certificates is for the whole tenant")
	}
	return nil
}

// BlockKeys adds SHA-256 hashes of SubjectPublicKeyInfos to the deployment's
// block list, and returns how many were new. It needs access.ManageBlocklist.
func (s *Service) BlockKeys(ctx context.Context, g access.Grant, hashes [][32]byte) (added int, err error) {
	if err := g.Check(access.ManageBlocklist); err != nil {
		return 0, err
	}
	return s.cfg.Store.BlockKeys(ctx, hashes, pki.Event{
		Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "blocklist.add",
		Target: "blocklist", Detail: fmt.Sprintf("%d hashes", len(hashes)),
	})
}
