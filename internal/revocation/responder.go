package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

const (
	responderDeadline = 30 * time.Second // to get one, which may include its issuance
	responderRetry    = 10 * time.Second // until the next attempt after one that brought nothing new
	responderRound    = time.Minute      // between two looks at all of them, whether or not anybody asks
)

// A responder is a delegated responder's certificate, ready to sign with.
type responder struct {
	key         pki.KeyURI
	certificate []byte // DER
	keyID       []byte // SHA-1 of the key's bits: the byKey ResponderID
	algorithm   tbs.SignatureAlgorithm
	serial      pki.Serial
	notBefore   time.Time
	notAfter    time.Time
	revoked     atomic.Bool // its answers are not to be given any more
}

// responders keeps each issuer's responder until half of its life is over, or it is
// revoked. The one before it stays good for what it signed: an answer ends before
// its responder's certificate does.
type responders struct {
	source Responders
	store  Store
	now    pki.Clock
	signer Signer
	alarms *alarm.Board
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
	looked  time.Time  // when current was last seen not to be revoked
	count   uint64     // Service.revoked before that
}

func newResponders(cfg *Config) *responders {
	return &responders{source: cfg.Responders, store: cfg.Store, now: cfg.Now, signer: cfg.Signer, alarms: cfg.Alarms, log: cfg.Log, slots: make(map[pki.IssuerID]*responderSlot)}
}

// get returns the issuer's responder; revoked is the count of this process's
// revocations. Where a new one cannot be had, the old one serves until its
// certificate ends, but not once it is revoked.
func (r *responders) get(ctx context.Context, id *identity, revoked uint64) (*responder, error) {
	slot := r.slot(id.issuer.ID)
	if err := slot.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer slot.gate.leave()
	now := r.now() // not of before: a responder may have been made, and have begun, in that time
	if err := r.look(ctx, id, slot, now, revoked); err != nil {
		return nil, err
	}
	if !now.Before(slot.next) || now.Before(slot.asked) { // or the clock was set back
		r.load(ctx, id, slot, now)
		now = r.now() // a new certificate may have begun meanwhile
	}
	if c := slot.current; c != nil && !now.Before(c.notBefore) && now.Before(c.notAfter) {
		return slot.current, nil
	}
	return nil, slot.err
}

// look sees whether the current responder is revoked, at once after a revocation by
// this process and soon after one by another. If it is, a new one is asked for.
func (r *responders) look(ctx context.Context, id *identity, slot *responderSlot, now time.Time, revoked uint64) error {
	age := now.Sub(slot.looked) // negative where the clock was set back
	if slot.current == nil || slot.count == revoked && age >= 0 && age < recheck {
		return nil
	}
	status, err := r.store.Status(ctx, id.issuer.ID, slot.current.serial)
	if err != nil {
		return fmt.Errorf("status of the OCSP responder: %w", err)
	}
	slot.looked, slot.count = now, revoked
	if status.Revocation == nil {
		return nil
	}
	r.log.WarnContext(ctx, "the OCSP responder is revoked", "tenant", id.issuer.Tenant, "issuer", id.issuer.ID, "serial", slot.current.serial)
	slot.current.revoked.Store(true)
	slot.current, slot.next = nil, time.Time{}
	slot.err = pki.Errorf(pki.Unavailable, "the OCSP responder is revoked")
	return nil
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
	got, reload, err := r.fetch(ctx, id)
	slot.asked, slot.next = now, now.Add(responderRetry)
	now = r.now()
	if err != nil {
		slot.err = pki.Because(pki.Unavailable, err, "the issuer has no OCSP responder at present")
		r.log.ErrorContext(ctx, "OCSP responder", "tenant", id.issuer.Tenant, "issuer", id.issuer.ID, "error", err)
		r.alarm(id, slot.current, now, pki.DetailOf(err))
		return
	}
	if slot.current == nil || slot.current.serial != got.serial {
		slot.current, slot.looked = got, time.Time{}
	}
	r.alarm(id, slot.current, now, "the log says why")
	slot.err = pki.Errorf(pki.Unavailable, "the certificate of the OCSP responder is not in force")
	if reload.After(slot.next) {
		slot.next = reload
	}
}

// fetch gets a responder from the source, checks that relying parties will take
// it, and says when half of its life will be over.
func (r *responders) fetch(ctx context.Context, id *identity) (*responder, time.Time, error) {
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
	if now := r.now(); now.Before(certificate.NotBefore) || !now.Before(notAfter) {
		return nil, time.Time{}, pki.Errorf(pki.Unavailable, "the certificate is valid from %s to %s", certificate.NotBefore, notAfter)
	}
	public, _, err := r.signer.Public(ctx, key)
	if err != nil {
		return nil, time.Time{}, err
	}
	return &responder{
		serial: certificate.Serial, key: key, certificate: raw, keyID: certificate.Key.KeyID(),
		algorithm: public.SignatureAlgorithm(), notBefore: certificate.NotBefore, notAfter: notAfter,
	}, certificate.NotBefore.Add(notAfter.Sub(certificate.NotBefore) / 2), nil
}

// alarm raises ocsp.responder while an issuer has no responder, or one of whose life
// less than a third is left, and clears it when all is well.
func (r *responders) alarm(id *identity, current *responder, now time.Time, why string) {
	key := alarm.Key{Tenant: id.issuer.Tenant, Name: "ocsp.responder", Target: "issuer:" + string(id.issuer.ID)}
	a := alarm.Alarm{Key: key, Severity: alarm.Critical, Do: "See that the tenant's profile ocsp-responder allows responders, and that the issuer can sign; a new one is asked for every ten seconds."}
	switch {
	case now.After(id.issuer.NotAfter): // no relying party asks of it any more
		r.alarms.Clear(key)
		return
	case current == nil || !now.Before(current.notAfter) || now.Before(current.notBefore):
		a.What = "the issuer answers no OCSP request: it has no responder, " + why
	case current.notAfter.Sub(now) < current.notAfter.Sub(current.notBefore)/3:
		a.What = fmt.Sprintf("the certificate of the OCSP responder ends on %s and is not renewed: %s", current.notAfter.UTC().Format(time.RFC3339), why)
		if current.notAfter.Sub(now) > current.notAfter.Sub(current.notBefore)/10 {
			a.Severity = alarm.Warning
		}
	default:
		r.alarms.Clear(key)
		return
	}
	r.alarms.Raise(a)
}

// ended ends the alarms about the status of an issuer that ended, by which nobody goes any
// more. That the database was put back stays until somebody has seen to it.
func (s *Service) ended(issuer *pki.Issuer) {
	for _, a := range s.cfg.Alarms.Of(issuer.Tenant) {
		if a.Name == "ocsp.responder" && a.Target == "issuer:"+string(issuer.ID) || a.Name == "crl.damaged" && strings.HasPrefix(a.Target, "crl/"+string(issuer.ID)+"/") {
			s.cfg.Alarms.Clear(a.Key)
		}
	}
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

// RunResponders keeps the OCSP responders of all online issuers ready, whether or
// not anybody asks, until ctx ends. Errors are logged and raised as alarms; they do
// not end it.
func (s *Service) RunResponders(ctx context.Context) error {
	tick := time.NewTicker(responderRound)
	defer tick.Stop()
	for {
		if err := s.EnsureResponders(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.DebugContext(ctx, "OCSP responders", "error", err) // those who watch have told of it
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// EnsureResponders makes the OCSP responders of all online issuers that are due,
// at once, and ends the alarms of issuers that ended. One that fails does not keep it
// from the others; the errors are joined.
func (s *Service) EnsureResponders(ctx context.Context) error {
	issuers, err := s.cfg.Issuers.AllIssuers(ctx)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "OCSP responders", "error", err)
		return err
	}
	var errs []error
	for _, issuer := range issuers {
		if s.cfg.Now().After(issuer.NotAfter) {
			s.ended(issuer)
			continue
		}
		if issuer.Key == pki.OfflineKey || ctx.Err() != nil {
			continue
		}
		id, err := s.identities.of(issuer)
		if err == nil {
			_, err = s.responders.get(ctx, id, s.revoked.Load())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("issuer %s: %w", issuer.ID, err))
		}
	}
	return errors.Join(errs...)
}
