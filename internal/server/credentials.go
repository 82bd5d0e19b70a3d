package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// credentials makes and renews the server's own certificates. They come through
// the RA like all others.
type credentials struct {
	store keystore.CredentialStore
	keys  *signer.Signer
	ra    *enroll.Service
	now   pki.Clock
	log   *slog.Logger

	mu sync.Mutex // one is made at a time
}

// A want is a certificate that the server needs to have.
type want struct {
	tenant pki.TenantID
	name   string // of the credential
	use    keystore.Use
	names  []string // DNS names and IP addresses; nil for a responder
	enroll func(ctx context.Context, g access.Grant, csr []byte) (*pki.Enrollment, error)
}

// get returns the credential, made anew with a new key where it is not there, is
// for other names, or half of its life is over. Where it cannot be made anew the
// old one is returned for as long as it is valid.
func (c *credentials) get(ctx context.Context, w want) (*keystore.Credential, *x509.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, err := c.store.Credential(ctx, w.tenant, w.name)
	if err != nil && pki.KindOf(err) != pki.NotFound {
		return nil, nil, err
	}
	var leaf *x509.Certificate
	if err == nil {
		if leaf, err = x509.ParseCertificate(have.Chain[0]); err != nil {
			return nil, nil, err
		}
		half := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
		if c.now().Before(half) && covers(leaf, w.names) {
			return have, leaf, nil
		}
	}
	fresh, err := c.make(ctx, w)
	if err != nil {
		if leaf != nil && c.now().Before(leaf.NotAfter) {
			c.log.Error("renewal of a certificate of the server's own", "credential", w.name, "expires", leaf.NotAfter, "error", err)
			return have, leaf, nil
		}
		return nil, nil, err
	}
	if leaf, err = x509.ParseCertificate(fresh.Chain[0]); err != nil {
		return nil, nil, err
	}
	c.log.Info("new certificate of the server's own", "credential", w.name, "serial", fmt.Sprintf("%x", leaf.SerialNumber), "expires", leaf.NotAfter)
	return fresh, leaf, nil
}

// covers reports whether the certificate has all of the names.
func covers(leaf *x509.Certificate, names []string) bool {
	for _, n := range names {
		if leaf.VerifyHostname(n) != nil {
			return false
		}
	}
	return true
}

// make makes a key and a request, and has the certificate issued.
func (c *credentials) make(ctx context.Context, w want) (*keystore.Credential, error) {
	g, err := access.System(w.tenant, "server").Authorize(access.Enroll, w.tenant)
	if err != nil {
		return nil, err
	}
	uri, err := c.keys.Generate(ctx, "software", w.tenant, pki.P256, w.use)
	if err != nil {
		return nil, err
	}
	csr, err := c.request(ctx, uri, w.names)
	if err != nil {
		return nil, err
	}
	got, err := w.enroll(ctx, g, csr)
	if err != nil {
		return nil, err
	}
	fresh := &keystore.Credential{
		Tenant: w.tenant, Name: w.name, Key: uri,
		Chain: append([][]byte{got.Certificate.DER}, got.Chain...),
	}
	return fresh, c.store.PutCredential(ctx, fresh)
}

func (c *credentials) request(ctx context.Context, uri pki.KeyURI, names []string) ([]byte, error) {
	public, _, err := c.keys.Public(ctx, uri)
	if err != nil {
		return nil, err
	}
	var sans []byte
	if len(names) > 0 {
		var general []tbs.GeneralName
		for _, n := range names {
			kind := tbs.DNSName
			if net.ParseIP(n) != nil {
				kind = tbs.IPAddress
			}
			general = append(general, tbs.GeneralName{Kind: kind, Text: n})
		}
		if sans, err = tbs.AppendGeneralNames(nil, general); err != nil {
			return nil, err
		}
	}
	name, err := tbs.Name{}.Append(nil) // the profile names the subject, or nobody does
	if err != nil {
		return nil, err
	}
	info := tbs.AppendCSR(nil, name, public, sans)
	signature, err := c.keys.Sign(ctx, uri, signer.Request, info, true)
	if err != nil {
		return nil, err
	}
	return tbs.AppendSigned(nil, info, public.SignatureAlgorithm(), signature), nil
}

// responders is the revocation.Responders whose certificates come from the RA.
type responders struct {
	issuers interface {
		Issuer(ctx context.Context, id pki.IssuerID) (*pki.Issuer, error)
	}
	credentials *credentials
}

// Responder implements revocation.Responders.
func (r *responders) Responder(ctx context.Context, issuer pki.IssuerID) ([]byte, pki.KeyURI, time.Time, error) {
	i, err := r.issuers.Issuer(ctx, issuer)
	if err != nil {
		return nil, "", time.Time{}, err
	}
	have, leaf, err := r.credentials.get(ctx, want{
		tenant: i.Tenant, name: "ocsp:" + string(issuer), use: keystore.UseOCSP,
		enroll: func(ctx context.Context, g access.Grant, csr []byte) (*pki.Enrollment, error) {
			return r.credentials.ra.Responder(ctx, g, issuer, csr)
		},
	})
	if err != nil {
		return nil, "", time.Time{}, err
	}
	return have.Chain[0], have.Key, leaf.NotAfter, nil
}
