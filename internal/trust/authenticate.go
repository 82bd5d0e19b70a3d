package trust

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

const (
	// knownLife is how long a node goes on with the anchors as it knows them.
	knownLife = 2 * time.Second
	// maxChain bounds the certificates that a client may send: each costs work
	// before it is known who it is.
	maxChain = 8
	// maxRSABits bounds the RSA keys of certificates, as package tbs does that of keys: a
	// signature costs by the square of them, and crypto/x509 has no bound of its own.
	maxRSABits = 8192
	// maxSumBits bounds the RSA keys of the others that come with a certificate together:
	// crypto/x509 checks up to a hundred signatures to find a way through them, each key's
	// many times. Four of 4096 bits are more than any hierarchy has.
	maxSumBits = 4 * 4096
)

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// Authenticate returns the principal that a client certificate proves, of the tenant
// where one is named, else of the only tenant that trusts it; of another tenant than
// that of the authority only where it is named. presented is what the
// peer sent: its own certificate, whose key it holds, and others in any order.
//
// A certificate that leads to no anchor, is outside its validity, is not for client
// authentication or is revoked is an Unauthenticated error that does not say which.
// Where the status of a certificate that an issuer of ours signed cannot be read, it
// is an error: nobody gets in because something does not answer.
func (s *Service) Authenticate(ctx context.Context, presented []*x509.Certificate, tenant pki.TenantID) (access.Principal, error) {
	return s.authenticate(ctx, presented, tenant, false)
}

// AuthenticateRenewal is Authenticate for whoever renews the certificate: one that an
// issuer of ours signed may have expired. Its principal is Late then, and may do nothing
// but renew; whether it still may, enroll says.
func (s *Service) AuthenticateRenewal(ctx context.Context, presented []*x509.Certificate, tenant pki.TenantID) (access.Principal, error) {
	return s.authenticate(ctx, presented, tenant, true)
}

func (s *Service) authenticate(ctx context.Context, presented []*x509.Certificate, tenant pki.TenantID, renews bool) (access.Principal, error) {
	none := access.Principal{}
	if len(presented) == 0 || len(presented) > maxChain {
		return none, pki.Errorf(pki.Unauthenticated, "present a client certificate of an authority that your organisation trusts, with at most %d others", maxChain-1)
	}
	if heavy(presented[0]) {
		return none, pki.Errorf(pki.Unauthenticated, "the client certificate is longer than %d bytes, or its RSA key than %d bits", maxCertificate, maxRSABits)
	}
	// Whoever needs another that is heavy leads to no anchor without it.
	presented = slices.DeleteFunc(slices.Clone(presented), heavy)
	sum := 0
	presented = append(presented[:1], slices.DeleteFunc(presented[1:], func(c *x509.Certificate) bool {
		over := sum+rsaBits(c) > maxSumBits
		if !over {
			sum += rsaBits(c)
		}
		return over
	})...)
	k, err := s.load(ctx)
	if err != nil {
		return none, err
	}
	named := make(map[string]bool) // issuers that the chain speaks of
	for _, c := range presented {
		named[string(c.RawIssuer)] = true
	}
	var found []access.Principal
	var refusals []error
	for id, anchors := range k.anchors {
		speaks := func(a anchor) bool { return named[string(a.certificate.RawSubject)] }
		if tenant != "" && id != tenant || !slices.ContainsFunc(anchors, speaks) {
			continue
		}
		who, foreign, err := s.within(ctx, k, anchors, presented, renews)
		switch {
		case err == nil && foreign && tenant == "":
			// Whoever trusts another tenant's authority does not draw its devices to
			// itself: they say where they go.
			refusals = append(refusals, pki.Errorf(pki.Unauthenticated, "the certificate is of another tenant's device, and no tenant is named"))
		case err == nil:
			found = append(found, who)
		case pki.KindOf(err) == pki.Unauthenticated:
			refusals = append(refusals, err)
		default:
			return none, err
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return none, pki.Errorf(pki.Unauthenticated, "several organisations trust this certificate: name yours in the header Pando-Tenant")
	case len(refusals) > 0:
		return none, pki.Because(pki.Unauthenticated, refusals[0], "the client certificate is not valid here")
	}
	return none, pki.Errorf(pki.Unauthenticated, "the client certificate is not valid here")
}

// heavy reports whether a certificate costs more to verify, or to verify another by,
// than a stranger may ask for. A listener of TLS takes none with such a key, and a message
// that is signed, as SCEP's, brings what its sender likes.
func heavy(c *x509.Certificate) bool {
	return len(c.Raw) > maxCertificate || rsaBits(c) > maxRSABits
}

// rsaBits returns the size of a certificate's RSA key, 0 of another.
func rsaBits(c *x509.Certificate) int {
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok {
		return key.N.BitLen()
	}
	return 0
}

// within proves who asks by the anchors of one tenant. foreign says that an issuer of
// ours signed the certificate, for a device of another tenant.
func (s *Service) within(ctx context.Context, k *known, anchors []anchor, presented []*x509.Certificate, renews bool) (who access.Principal, foreign bool, err error) {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range anchors {
		roots.AddCert(a.certificate)
	}
	for _, c := range presented[1:] {
		between.AddCert(c)
	}
	leaf := *presented[0]
	// crypto/x509 leaves a critical SAN to its caller where it has no name of a kind
	// that it knows, as a hardwareModuleName. No name of it is used here.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), oidSubjectAltName.Equal)
	at := s.cfg.Now()
	late := renews && at.After(leaf.NotAfter)
	if late { // then it counts whether the chain was valid when the certificate ended
		at = leaf.NotAfter
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return access.Principal{}, false, pki.Because(pki.Unauthenticated, err, "the client certificate is not valid here")
	}
	// The nearest anchor says most about whom it certifies.
	chain := slices.MinFunc(chains, func(a, b []*x509.Certificate) int { return cmp.Compare(len(a), len(b)) })
	if len(chain) < 2 {
		return access.Principal{}, false, pki.Errorf(pki.Unauthenticated, "an authority's own certificate proves nobody")
	}
	record, err := s.standing(ctx, k, anchors[0].Tenant, chain)
	if err != nil {
		return access.Principal{}, false, err
	}
	if late && record == nil {
		return access.Principal{}, false, pki.Errorf(pki.Unauthenticated, "the client certificate has expired, and none of our issuers signed it")
	}
	nearest := slices.IndexFunc(anchors, func(a anchor) bool { return a.certificate.Equal(chain[len(chain)-1]) })
	by := anchors[nearest].Anchor
	if record != nil && !speaksFor(by.Tenant, record) {
		return access.Principal{}, false, pki.Errorf(pki.Unauthenticated, "certificate %s is of a tenant to which its authority was lent, and proves nobody elsewhere", record.Serial)
	}
	who, err = principalOf(by, chain, record)
	who.Certificate, who.Late = record, late
	for _, c := range presented {
		who.Presented = append(who.Presented, c.Raw)
	}
	return who, record != nil && record.Owner != by.Tenant, err
}

// speaksFor reports whether a certificate can prove somebody to a tenant that trusts
// its authority: it is the tenant's own, or that of the other tenant whose authority
// was named. One to whom an authority is lent chooses the ids of its devices, and must
// not choose those of the lender's, or of another borrower's.
func speaksFor(tenant pki.TenantID, record *pki.Certificate) bool {
	return record.Owner == tenant || record.Owner == record.Tenant && record.Tenant != tenant
}

// standing looks up each certificate of a chain that an issuer of ours signed: it must
// be one that is recorded, to the byte, and not revoked or on hold. It returns the
// record of the first one; nil where no issuer of ours signed that. tenant is whose
// operators see why not.
func (s *Service) standing(ctx context.Context, k *known, tenant pki.TenantID, chain []*x509.Certificate) (first *pki.Certificate, err error) {
	for i, c := range chain[:len(chain)-1] {
		issuers := k.issuers[caKeyOf(chain[i+1])]
		if len(issuers) == 0 {
			continue
		}
		record, err := s.recorded(ctx, tenant, issuers, c)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = record
		}
	}
	return first, nil
}

// recorded returns the record of a certificate that one of some issuers signed.
func (s *Service) recorded(ctx context.Context, tenant pki.TenantID, issuers []*pki.Issuer, c *x509.Certificate) (record *pki.Certificate, err error) {
	var serial pki.Serial
	if c.SerialNumber.Sign() < 0 || c.SerialNumber.BitLen() > 8*len(serial) {
		return nil, pki.Errorf(pki.Unauthenticated, "a serial that is not one of ours")
	}
	c.SerialNumber.FillBytes(serial[:])
	for _, issuer := range issuers {
		status, err := s.cfg.Store.Status(ctx, issuer.ID, serial)
		switch {
		case err != nil:
			return nil, pki.Because(pki.Unavailable, err, "the status of the client certificate cannot be told now")
		case status.Revocation != nil:
			return nil, s.revokedError(ctx, tenant, issuer, status.Revocation)
		}
		found, err := s.cfg.Store.Certificate(ctx, issuer.Tenant, issuer.ID, serial)
		switch {
		case pki.KindOf(err) == pki.NotFound: // of several with one key the one that issued it knows it
		case err != nil:
			return nil, pki.Because(pki.Unavailable, err, "the client certificate cannot be looked up now")
		case bytes.Equal(found.DER, c.Raw):
			record = found
		}
	}
	if record == nil {
		return nil, pki.Errorf(pki.Unauthenticated, "certificate %s of issuer %s is not recorded", serial, issuers[0].ID)
	}
	return record, nil
}

// revokedError says that a certificate is revoked, or on hold and whether with its
// device, where that is the tenant's: whoever has devices suspended sees why these fail.
func (s *Service) revokedError(ctx context.Context, tenant pki.TenantID, issuer *pki.Issuer, r *pki.Revocation) error {
	if r.Reason != pki.CertificateHold {
		return pki.Errorf(pki.Unauthenticated, "certificate %s of issuer %s is revoked", r.Serial, issuer.ID)
	}
	with := ""
	held, err := s.cfg.Store.Certificate(ctx, issuer.Tenant, issuer.ID, r.Serial)
	if err == nil && held.Owner == tenant && held.Device != "" {
		device, err := s.cfg.Store.Device(ctx, tenant, held.Device)
		if err == nil && device.State == registry.Suspended {
			with = fmt.Sprintf(": its device %q is suspended", held.Device)
		}
	}
	return pki.Errorf(pki.Unauthenticated, "certificate %s of issuer %s is on hold%s", r.Serial, issuer.ID, with)
}

// principalOf returns whom a verified chain proves: which device that is the record
// says where there is one, since a subject is what a profile made of a request.
func principalOf(a *Anchor, chain []*x509.Certificate, record *pki.Certificate) (access.Principal, error) {
	leaf := chain[0]
	issuer := a.Principal()
	device := pki.DeviceID(cmp.Or(leaf.Subject.SerialNumber, leaf.Subject.CommonName))
	if record != nil {
		issuer, device = string(record.Issuer), record.Device
	}
	who := access.Principal{
		Tenant: a.Tenant, Grants: a.Grants, Expires: leaf.NotAfter.UTC(), Proofs: pki.ByCertificate,
		ID:   fmt.Sprintf(access.CertificatePrincipal+"%s/%x", issuer, leaf.SerialNumber),
		Name: printable(cmp.Or(leaf.Subject.SerialNumber, leaf.Subject.CommonName) + ", issued by " + chain[1].Subject.String()),
	}
	switch {
	case !a.devices():
		return who, nil
	case device == "" && record != nil:
		return access.Principal{}, pki.Errorf(pki.Unauthenticated, "the certificate was issued for no device")
	case device == "" || pki.CheckDevice(device) != nil:
		return access.Principal{}, pki.Errorf(pki.Unauthenticated, "the certificate's subject names no device, by serialNumber or CN")
	}
	who.Device, who.Subject, who.Names, who.Foreign = device, leaf.RawSubject, namesOf(leaf), record == nil || record.Owner != a.Tenant
	return who, nil
}

// namesOf returns the DER GeneralNames of a certificate's SAN, nil for none.
func namesOf(c *x509.Certificate) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			return e.Value
		}
	}
	return nil
}

// printable keeps a name from others short and on one line.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, name)
	if r := []rune(name); len(r) > 200 {
		name = string(r[:200])
	}
	return name
}

func fingerprint(der []byte) [32]byte { return sha256.Sum256(der) }
