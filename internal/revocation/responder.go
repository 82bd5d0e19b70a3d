package revocation

import (
	"context"
	"crypto/x509"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

const (
	responderDeadline = 30 * time.Second // to get one, which may include its issuance
	responderRetry    = 10 * time.Second // until the next attempt after one that brought nothing new
)

// A responder is a delegated responder's certificate, ready to sign with.
type responder struct {
	key         pki.KeyURI
	certificate []byte // DER
	keyID       []byte // SHA-1 of the key's bits: the byKey ResponderID
	algorithm   tbs.SignatureAlgorithm
	notBefore   time.Time
	notAfter    time.Time
}

// responders keeps each issuer's responder until a third of its life is left.
type responders struct {
	source Responders
	log    *slog.Logger
	mu     sync.Mutex
	slots  map[pki.IssuerID]*responderSlot // guarded by mu
}

// A responderSlot is one issuer's; its gate guards the other fields.
type responderSlot struct {
	gate    gate
	current *responder // nil until one was found
	err     error      // of the last attempt
	asked   time.Time  // the time of that
	next    time.Time  // when to ask again
}

func newResponders(source Responders, log *slog.Logger) *responders {
	return &responders{source: source, log: log, slots: make(map[pki.IssuerID]*responderSlot)}
}

// get returns the issuer's responder. Where a new one cannot be had, the old one
// serves until its certificate ends.
func (r *responders) get(ctx context.Context, id *identity, now time.Time) (*responder, error) {
	slot := r.slot(id.issuer.ID)
	if err := slot.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer slot.gate.leave()
	if !now.Before(slot.next) || now.Before(slot.asked) { // or the clock was set back
		r.load(ctx, id, slot, now)
	}
	if c := slot.current; c != nil && !now.Before(c.notBefore) && now.Before(c.notAfter) {
		return slot.current, nil
	}
	return nil, slot.err
}

func (r *responders) slot(id pki.IssuerID) *responderSlot {
	r.mu.Lock()
	defer r.mu.Unlock()
	slot := r.slots[id]
	if slot == nil {
		slot = &responderSlot{gate: newGate()}
		r.slots[id] = slot
	}
	return slot
}

// load asks for a responder, also when the request that needs it goes away: the
// next one will need it too.
func (r *responders) load(ctx context.Context, id *identity, slot *responderSlot, now time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), responderDeadline)
	defer cancel()
	got, reload, err := r.fetch(ctx, id, now)
	slot.asked, slot.next = now, now.Add(responderRetry)
	if err != nil {
		slot.err = pki.Because(pki.Unavailable, err, "the issuer has no OCSP responder at present")
		r.log.ErrorContext(ctx, "OCSP responder", "tenant", id.issuer.Tenant, "issuer", id.issuer.ID, "error", err)
		return
	}
	slot.current = got
	slot.err = pki.Errorf(pki.Unavailable, "the certificate of the OCSP responder is not in force")
	if reload.After(slot.next) {
		slot.next = reload
	}
}

// fetch gets a responder from the source, checks that relying parties will take
// it, and says when a third of its life will be left.
func (r *responders) fetch(ctx context.Context, id *identity, now time.Time) (*responder, time.Time, error) {
	raw, key, notAfter, err := r.source.Responder(ctx, id.issuer.ID)
	if err != nil {
		return nil, time.Time{}, err
	}
	certificate, err := tbs.ParseCertificate(raw)
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := certificate.CheckSignedBy(id.certificate); err != nil {
		return nil, time.Time{}, err
	}
	if err := checkDelegation(certificate); err != nil {
		return nil, time.Time{}, err
	}
	if now.Before(certificate.NotBefore) || !now.Before(notAfter) {
		return nil, time.Time{}, pki.Errorf(pki.Unavailable, "the certificate is valid from %s to %s", certificate.NotBefore, notAfter)
	}
	return &responder{
		key: key, certificate: raw, keyID: certificate.Key.KeyID(),
		algorithm: certificate.Key.SignatureAlgorithm(), notBefore: certificate.NotBefore, notAfter: notAfter,
	}, notAfter.Add(-notAfter.Sub(certificate.NotBefore) / 3), nil
}

// checkDelegation checks what makes a certificate a delegated responder's (RFC
// 6960, 4.2.2.2): relying parties refuse the answers of any other, and would ask
// for the status of one without id-pkix-ocsp-nocheck, which nobody can answer.
func checkDelegation(certificate *tbs.Parsed) error {
	leaf, err := x509.ParseCertificate(certificate.Raw)
	if err != nil {
		return err
	}
	lacks := func(what string) error {
		return pki.Errorf(pki.PolicyRefused, "the responder's certificate lacks %s: correct the tenant's profile ocsp-responder and publish it", what)
	}
	switch {
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return lacks("extendedKeyUsage OCSPSigning")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return lacks("keyUsage digitalSignature")
	case certificate.Extension(der.OIDOCSPNoCheck) == nil:
		return lacks("ocspNoCheck")
	}
	return nil
}
