package server

import (
	"context"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/proto/est"
)

// A prover tells who asks by a device protocol: by the token where there is one, else by
// the certificate of the connection.
type prover struct{ s *Server }

// Prove returns who asks at an endpoint.
func (p *prover) Prove(ctx context.Context, label string, given est.Presented) (who access.Principal, err error) {
	tenant, _, _ := strings.Cut(label, ".")
	authenticate := p.s.trust.Authenticate
	if given.Renews {
		authenticate = p.s.trust.AuthenticateRenewal
	}
	if given.Token.Reveal() != "" {
		who, err = p.s.tokens.Authenticate(ctx, given.Token)
	} else {
		who, err = authenticate(ctx, given.Certificates, pki.TenantID(tenant))
	}
	if err == nil {
		err = p.s.hierarchy.CheckSuspended(ctx, who.Tenant)
	}
	return who, err
}
