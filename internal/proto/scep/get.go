package scep

import (
	"bytes"
	"context"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// Certificates finds issued certificates.
type Certificates interface {
	// Certificate returns a certificate to the tenant that issued or owns it, or NotFound.
	Certificate(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error)
	// RenewalOf returns the certificate that a request, as it is kept (tbs.CutKey), led to
	// after another of the same device and owner, or NotFound.
	RenewalOf(ctx context.Context, old *pki.Certificate, request []byte) (*pki.Certificate, error)
}

// CRLs has the CRLs of issuers; revocation.Service is one.
type CRLs interface {
	CRL(ctx context.Context, list revocation.List) (*revocation.CRL, error)
}

// maxCRL bounds a CRL that is encrypted for one client.
const maxCRL = 1 << 20

// getCert answers GetCert (RFC 8894, 3.3.4) to whoever holds the certificate's key, or
// proves by another certificate that they are its device. To everybody else it is as if
// there were none: whose certificates there are is not anybody's business.
func (op *operation) getCert(ctx context.Context) ([]byte, error) {
	issuer, serial, err := op.readSerial(ctx)
	if err != nil {
		return nil, err
	}
	none := func(cause error) error {
		return pki.Because(pki.NotFound, cause, "the authority has issued no such certificate to you")
	}
	c, err := op.server.cfg.Certificates.Certificate(ctx, op.tenant(), issuer.ID, serial)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil, none(err)
	case err != nil:
		return nil, err
	case c.Owner != op.tenant():
		return nil, none(nil)
	}
	if !bytes.Equal(cms.SubjectPublicKey(c.DER), cms.SubjectPublicKey(op.signer)) {
		who, err := op.prove(ctx, false)
		switch kind := pki.KindOf(err); {
		case kind == pki.Unauthenticated || kind == pki.Forbidden || err == nil && (who.Device == "" || who.Device != c.Device):
			return nil, none(err)
		case err != nil:
			return nil, err
		}
	}
	return cms.CertsOnly([][]byte{c.DER})
}

// getCRL answers GetCRL (RFC 8894, 3.3.4) with the CRL that a certificate's distribution
// point names.
func (op *operation) getCRL(ctx context.Context) ([]byte, error) {
	issuer, serial, err := op.readSerial(ctx)
	if err != nil {
		return nil, err
	}
	crl, err := op.server.cfg.CRLs.CRL(ctx, revocation.List{Issuer: issuer.ID, Shard: serial.Shard(issuer.Shards)})
	switch {
	case pki.KindOf(err) == pki.NotFound: // of an issuer that was just made
		return nil, pki.Because(pki.Unavailable, err, "the CRL is not made yet: ask again in some seconds")
	case err != nil:
		return nil, err
	}
	if len(crl.DER) > maxCRL {
		return nil, pki.Errorf(pki.PolicyRefused, "the CRL has %d octets, which is too much for SCEP: fetch it where the certificate's distribution point says", len(crl.DER))
	}
	return cms.CRLOnly(crl.DER)
}

// readSerial reads which certificate a GetCert or GetCRL is about: one of an issuer of the
// endpoint's authority.
func (op *operation) readSerial(ctx context.Context) (*pki.Issuer, pki.Serial, error) {
	name, serial, ok := readIssuerAndSerial(op.content)
	if !ok {
		return nil, serial, errOpen(nil)
	}
	issuer, err := op.issuerOf(ctx, name, serial)
	if err != nil {
		return nil, serial, err
	}
	if issuer == nil {
		return nil, serial, errOpen(pki.Errorf(pki.NotFound, "the issuer is not the one of this endpoint's certificates"))
	}
	_, err = op.recipient()
	return issuer, serial, err
}
