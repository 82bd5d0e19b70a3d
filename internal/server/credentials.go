package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// credentials makes and renews the server's own certificates. They come through
// the RA like all others.
type credentials struct {
	store credentialStore
	keys  *signer.Signer
	ra    *enroll.Service
	now   pki.Clock
	log   *slog.Logger

	mu sync.Mutex // one is made at a time
}

// A credentialStore keeps the credentials and knows what has become of them.
type credentialStore interface {
	keystore.CredentialStore
	Issuer(ctx context.Context, id pki.IssuerID) (*pki.Issuer, error)
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error)
}

// A want is a certificate that the server needs to have.
type want struct {
	tenant pki.TenantID
	name   string // of the credential
	source string // see keystore.Credential
	use    keystore.Use
	kind   pki.KeyKind // of its key
	names  []string    // DNS names and IP addresses; nil where it has none
	before string      // the name under which the one is kept that it replaces; "" keeps none
	enroll func(ctx context.Context, g access.Permit, csr []byte) (*pki.Enrollment, error)
}

// get returns the credential, made anew with a new key where it is not there or
// cannot be used, has another source, or half of its life is over. Where it cannot
// be made anew the old one is returned for as long as it can be used.
func (c *credentials) get(ctx context.Context, w want) (*keystore.Credential, *x509.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var leaf *x509.Certificate
	have, err := c.store.Credential(ctx, w.tenant, w.name)
	first := pki.KindOf(err) == pki.NotFound
	if err == nil {
		leaf, err = c.verify(ctx, have)
	}
	switch {
	case err == nil && have.Source == w.source && c.now().Before(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore)/2)):
		return have, leaf, nil
	case err != nil && !first:
		c.log.Warn("a certificate of the server's own cannot be used", "credential", w.name, "error", err)
	}
	if w.before != "" && err == nil {
		kept := *have
		kept.Name = w.before
		if err := c.store.PutCredential(ctx, &kept); err != nil {
			return nil, nil, err
		}
	}
	fresh, failed := c.make(ctx, w)
	if failed != nil {
		if err == nil {
			c.log.Error("renewal of a certificate of the server's own", "credential", w.name, "expires", leaf.NotAfter, "error", failed)
			return have, leaf, nil
		}
		return nil, nil, failed
	}
	if leaf, err = x509.ParseCertificate(fresh.Chain[0]); err != nil {
		return nil, nil, err
	}
	c.log.Info("new certificate of the server's own", "credential", w.name, "serial", fmt.Sprintf("%x", leaf.SerialNumber), "expires", leaf.NotAfter)
	return fresh, leaf, nil
}

// kept returns a credential as it is, for as long as it can be used; it is not made anew.
func (c *credentials) kept(ctx context.Context, tenant pki.TenantID, name string) (*keystore.Credential, error) {
	have, err := c.store.Credential(ctx, tenant, name)
	if err == nil {
		_, err = c.verify(ctx, have)
	}
	return have, err
}

// verify checks what relying parties will: a row that was damaged, or that came
// back from a backup, must not stay in use for half of a certificate's life.
func (c *credentials) verify(ctx context.Context, have *keystore.Credential) (*x509.Certificate, error) {
	certificate, err := tbs.ParseCertificate(have.Chain[0])
	if err != nil {
		return nil, err
	}
	issuer, err := c.store.Issuer(ctx, have.Issuer)
	if err != nil {
		return nil, err
	}
	ca, err := tbs.ParseCertificate(issuer.Certificate)
	if err != nil {
		return nil, err
	}
	if err := certificate.CheckSignedBy(ca); err != nil {
		return nil, err
	}
	key, _, err := c.keys.Public(ctx, have.Key)
	if err != nil {
		return nil, err
	}
	status, err := c.store.Status(ctx, have.Issuer, certificate.Serial)
	if err != nil {
		return nil, err
	}
	now := c.now()
	switch {
	case len(have.Chain) > 1 && !bytes.Equal(have.Chain[1], issuer.Certificate):
		return nil, errors.New("its chain goes on with another than its issuer")
	case !bytes.Equal(key.SPKI(), certificate.Key.SPKI()):
		return nil, fmt.Errorf("it is not for the key %s", have.Key)
	case !status.Known:
		return nil, errors.New("it is not among the certificates of its issuer")
	case status.Revocation != nil:
		return nil, errors.New("it is revoked")
	case now.Before(certificate.NotBefore) || now.After(certificate.NotAfter):
		return nil, fmt.Errorf("it is valid from %s to %s", certificate.NotBefore, certificate.NotAfter)
	}
	return x509.ParseCertificate(have.Chain[0])
}

// make makes a key and a request, and has the certificate issued.
func (c *credentials) make(ctx context.Context, w want) (*keystore.Credential, error) {
	g, err := access.System(w.tenant, "server").Authorize(access.Enroll, w.tenant)
	if err != nil {
		return nil, err
	}
	uri, err := c.keys.Generate(ctx, "software", w.tenant, w.kind, w.use)
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
		Tenant: w.tenant, Name: w.name, Source: w.source, Key: uri, Issuer: got.Certificate.Issuer,
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
	store interface {
		Issuer(ctx context.Context, id pki.IssuerID) (*pki.Issuer, error)
		Profile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error)
	}
	credentials *credentials
}

// Responder implements revocation.Responders. A new version of the profile leads
// to a new responder: one that nobody accepts is so replaced by publishing a
// better profile.
func (r *responders) Responder(ctx context.Context, issuer pki.IssuerID) ([]byte, pki.KeyURI, time.Time, error) {
	i, err := r.store.Issuer(ctx, issuer)
	if err != nil {
		return nil, "", time.Time{}, err
	}
	profile, err := r.store.Profile(ctx, pki.ProfileRef{Tenant: i.Tenant, Name: policy.ResponderProfile})
	if err != nil {
		return nil, "", time.Time{}, err
	}
	kind, err := responderKind(i, profile)
	if err != nil {
		return nil, "", time.Time{}, err
	}
	have, leaf, err := r.credentials.get(ctx, want{
		tenant: i.Tenant, name: "ocsp:" + string(issuer), use: keystore.UseOCSP, kind: kind,
		source: fmt.Sprintf("profile %s, version %d", profile.Name, profile.Version),
		enroll: func(ctx context.Context, g access.Permit, csr []byte) (*pki.Enrollment, error) {
			return r.credentials.ra.Own(ctx, g, issuer, policy.ResponderProfile, csr)
		},
	})
	if err != nil {
		return nil, "", time.Time{}, err
	}
	return have.Chain[0], have.Key, leaf.NotAfter, nil
}

// responderKind returns the kind of a responder's key: the issuer's own where the
// profile allows it, so that the answers are as strong as the certificates, else the
// profile's first.
func responderKind(i *pki.Issuer, v *pki.ProfileVersion) (pki.KeyKind, error) {
	issuer, err := tbs.ParseCertificate(i.Certificate)
	if err != nil {
		return "", err
	}
	p, err := policy.Parse([]byte(v.Source))
	if err != nil {
		return "", err
	}
	kinds := p.KeyKinds()
	if own := issuer.Key.Kind(); slices.Contains(kinds, own) {
		return own, nil
	}
	return kinds[0], nil
}
