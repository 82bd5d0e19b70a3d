package trust

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Again tells whom certificates prove at this moment that a client presented to a
// tenant before, in DER one after another: all that Authenticate checks is checked. One
// that has expired proves its own renewal still, which may have waited.
func (s *Service) Again(ctx context.Context, tenant pki.TenantID, presented []byte) (access.Principal, error) {
	certificates, err := x509.ParseCertificates(presented)
	if err != nil {
		return access.Principal{}, pki.Because(pki.Unauthenticated, err, "what the client presented is not kept as it was")
	}
	return s.AuthenticateRenewal(ctx, certificates, tenant)
}

// Asker returns the id of the principal that asked for the certificate by which
// another is proved, where one of the tenant's issuers made it; "" where that is not
// known.
func (s *Service) Asker(ctx context.Context, tenant pki.TenantID, id string) (string, error) {
	issuer, text, _ := strings.Cut(strings.TrimPrefix(id, access.CertificatePrincipal), "/")
	if len(text)%2 > 0 {
		text = "0" + text
	}
	number, err := hex.DecodeString(text)
	var serial pki.Serial
	if err != nil || len(number) > len(serial) {
		return "", nil // it is none of ours
	}
	copy(serial[len(serial)-len(number):], number)
	actor, err := s.cfg.Store.Asker(ctx, tenant, pki.IssuerID(issuer), serial)
	asker, _, _ := strings.Cut(actor, " ")
	if pki.KindOf(err) == pki.NotFound {
		return "", nil
	}
	return asker, err
}
