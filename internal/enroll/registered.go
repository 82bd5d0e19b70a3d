package enroll

import (
	"context"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// What is enrolled here has no endpoint: it is pando's own, and its name comes
// from the hierarchy, never from a request.

// ownSuffixes are what the server's own certificates under an authority append to its
// common name, by their profile.
var ownSuffixes = map[string]string{
	policy.ResponderProfile:     " OCSP",
	policy.SCEPSignerProfile:    " SCEP",
	policy.SCEPRecipientProfile: " SCEP Encryption",
}

// Own issues a certificate of the server's own under an issuer: of its OCSP responder, or
// of a key for SCEP, under the profile of its tenant that has the name. Only the server
// itself asks for it; the permit is the system's, of access.Enroll.
func (s *Service) Own(ctx context.Context, g access.Permit, issuer pki.IssuerID, profile string, csr []byte) (*pki.Enrollment, error) {
	if err := g.Check(access.Enroll); err != nil {
		return nil, err
	}
	suffix, ok := ownSuffixes[profile]
	if !ok || !g.Principal().System() {
		return nil, pki.Errorf(pki.Forbidden, "the server's own certificates are enrolled by the server itself")
	}
	line, err := s.cfg.Directory.IssuerLine(ctx, g.Tenant(), issuer)
	if err != nil {
		return nil, err
	}
	subject, err := tbs.ParseName(line.Parsed.Subject) // an authority's issuers have names of their own
	if err != nil {
		return nil, err
	}
	return s.registered(ctx, g.Tenant(), line, pki.ProfileRef{Tenant: g.Tenant(), Name: profile}, ownName(subject.Get(der.OIDCommonName), suffix), csr, "")
}

// IssuerKey is the idempotency key that the certificate of an issuer below an online one is
// issued under.
func IssuerKey(id pki.IssuerID) string { return "issuer\n" + string(id) } // no key that is sent has a control character

// Subordinate issues the certificate of an authority's issuer, which is pending, below an
// online authority: it is signed by the issuer's parent, or Conflict where the authority
// above signs by another by now. The grant is of access.ManageAuthorities.
func (s *Service) Subordinate(ctx context.Context, g access.Permit, parent pki.AuthorityID, profile pki.ProfileRef, commonName string, issuer *pki.Issuer) (*pki.Certificate, error) {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return nil, err
	}
	line, err := s.cfg.Directory.Line(ctx, g.Tenant(), parent)
	if err != nil {
		return nil, err
	}
	if line.Issuer.ID != issuer.Parent {
		return nil, pki.Errorf(pki.Conflict, "the authority %s was switched meanwhile", line.Authority.Name)
	}
	got, err := s.registered(ctx, g.Tenant(), line, profile, commonName, issuer.Request, IssuerKey(issuer.ID))
	if err != nil {
		return nil, err
	}
	return got.Certificate, nil
}

// Subordinated returns the certificate that Subordinate issued for a tenant's issuer,
// whatever would be decided by now, or NotFound. What a crash cut off is waited for: its
// intent is completed, or comes to nothing.
func (s *Service) Subordinated(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID) (*pki.Certificate, error) {
	earlier, _, err := s.cfg.Store.Claimed(ctx, tenant, IssuerKey(issuer))
	if err != nil {
		return nil, err
	}
	c, err := s.cfg.CA.Await(ctx, tenant, &earlier)
	if c == nil && err == nil {
		err = pki.Errorf(pki.NotFound, "the issuer has no certificate")
	}
	return c, err
}

func (s *Service) registered(ctx context.Context, tenant pki.TenantID, line *issuance.Line, profile pki.ProfileRef, commonName string, csr []byte, idempotency string) (*pki.Enrollment, error) {
	version, err := s.cfg.Directory.ResolveProfile(ctx, profile)
	if err != nil {
		return nil, err
	}
	lane, err := s.laneOf(ctx, pki.Endpoint{Tenant: tenant, Authority: line.Authority.ID, Profile: version.ProfileRef}, line)
	if err != nil {
		return nil, err
	}
	lane.commonName = commonName
	order, err := s.decideAt(ctx, lane, Subject{CSR: csr}, "", idempotency)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, lane, order)
}

// ownName makes the CN of a certificate of the server's own of its authority's, within
// the 64 characters (not octets) that RFC 5280, appendix A.1, leaves a common name.
func ownName(authority, suffix string) string {
	name := []rune(authority)
	return string(name[:min(len(name), 64-len(suffix))]) + suffix
}
