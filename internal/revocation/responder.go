package revocation

import (
	"context"
	"log/slog"
	"sync"
	"time"

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
	if !now.Before(slot.next) {
		r.load(ctx, id, slot, now)
	}
	if slot.current != nil && now.Before(slot.current.notAfter) {
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
	slot.next = now.Add(responderRetry)
	if err != nil {
		slot.err = pki.Because(pki.Unavailable, err, "the issuer has no OCSP responder at present")
		r.log.ErrorContext(ctx, "OCSP responder", "issuer", id.issuer.ID, "error", err)
		return
	}
	slot.current = got
	slot.err = pki.Errorf(pki.Unavailable, "the certificate of the OCSP responder has expired")
	if reload.After(slot.next) {
		slot.next = reload
	}
}

// fetch gets a responder from the source, checks that relying parties will take
// it, and says when a third of its life will be left.
func (r *responders) fetch(ctx context.Context, id *identity, now time.Time) (*responder, time.Time, error) {
	der, key, notAfter, err := r.source.Responder(ctx, id.issuer.ID)
	if err != nil {
		return nil, time.Time{}, err
	}
	certificate, err := tbs.ParseCertificate(der)
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := certificate.CheckSignedBy(id.certificate); err != nil {
		return nil, time.Time{}, err
	}
	if !now.Before(notAfter) {
		return nil, time.Time{}, pki.Errorf(pki.Unavailable, "the certificate ended at %s", notAfter)
	}
	return &responder{
		key: key, certificate: der, keyID: certificate.Key.KeyID(),
		algorithm: certificate.Key.SignatureAlgorithm(), notAfter: notAfter,
	}, notAfter.Add(-notAfter.Sub(certificate.NotBefore) / 3), nil
}
