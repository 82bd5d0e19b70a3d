package ceremony

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// signCertificate signs a CA certificate. Of the CSR only the key is taken, and
// its proof of possession; the names come from the request, all else from the
// profile.
func (r *root) signCertificate(ctx context.Context, j *journal, req *Request, now time.Time) (*Response, error) {
	csr, err := tbs.ParseCSR(req.CSR)
	if err != nil {
		return nil, err
	}
	if err := csr.CheckProof(); err != nil {
		return nil, err
	}
	if err := policy.CheckKey(csr.Key); err != nil {
		return nil, err
	}
	if bytes.Equal(csr.Key.SPKI(), r.certificate.Key.SPKI()) {
		return nil, pki.Errorf(pki.BadKey, "the request's key is the root's own")
	}
	message, err := r.caCertificate(req, csr, now)
	if err != nil {
		return nil, err
	}
	intent, err := certificateIntent(KindCertificate, r.mode, message, now)
	if err != nil {
		return nil, err
	}
	intent.Request = req.hash()
	certificate, err := r.act(ctx, j, intent, func(signed []byte) error {
		c, err := tbs.ParseCertificate(signed)
		if err != nil {
			return err
		}
		return c.CheckSignedBy(r.certificate)
	})
	if err != nil {
		return nil, err
	}
	return req.answer(certificate), nil
}

// caCertificate returns the TBSCertificate that a request asks for, linted.
func (r *root) caCertificate(req *Request, csr *tbs.CSR, now time.Time) ([]byte, error) {
	profile, err := policy.Parse([]byte(req.Profile))
	if err != nil {
		return nil, fmt.Errorf("profile of the request: %w", err)
	}
	if !profile.CA() {
		return nil, pki.Errorf(pki.PolicyRefused, "profile %s is not for CA certificates; a root signs no others", profile.Name())
	}
	_, pathLen := r.certificate.IsCA()
	ref := pki.ProfileRef{Tenant: req.ProfileTenant, Name: profile.Name(), Version: req.ProfileVersion}
	issuer := policy.IssuerParams{
		ID:        req.RootIssuer,
		Mode:      r.mode,
		Subject:   r.certificate.Subject,
		KeyID:     r.certificate.SubjectKeyID(),
		Algorithm: r.certificate.Key.SignatureAlgorithm(),
		NotBefore: r.certificate.NotBefore, NotAfter: r.certificate.NotAfter,
		PathLen:   pathLen,
		StatusURL: req.StatusURL, Shards: 1,
	}
	if issuer.Constraints, err = policy.Constraints(r.certificate.Raw); err != nil {
		return nil, err
	}
	return build(profile, ref, issuer, &policy.Input{
		CSR: csr, CommonName: req.CommonName, Organization: req.Organization, Now: now,
	})
}
