package scep

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// enrol answers PKCSReq and RenewalReq (RFC 8894, 3.3.1) with what a CertRep carries.
func (op *operation) enrol(ctx context.Context) ([]byte, error) {
	csr, err := op.readRequest()
	if err != nil {
		return nil, err
	}
	if _, err := op.recipient(); err != nil { // nothing is issued that cannot be handed over
		return nil, err
	}
	op.own = bytes.Equal(cms.SubjectPublicKey(op.signer), csr.Key.SPKI())
	renews := op.kind == renewalReq
	if op.asked, err = op.taken(ctx, csr, renews); err != nil {
		return nil, err
	}
	who, err := op.prove(ctx, renews)
	if err == nil {
		err = op.checkSigner(who)
	}
	var done []byte
	var t *Transaction
	if err == nil {
		done, t, err = op.begin(ctx, who, csr, renews)
	}
	if err != nil || done != nil {
		op.cameToNothing(ctx, csr, renews, err)
		return done, err
	}
	t.Request, t.Renews, t.Principal = bytes.Clone(csr.Raw), renews, who.ID
	content, err := op.ask(ctx, who, t)
	if pki.KindOf(err) == pki.Pending {
		waits := *t
		waits.Request = op.server.cfg.Sealer.Seal(t.sealedFor(), t.Request) // its challenge may be good for more
		if kept := op.server.cfg.Store.KeepSCEP(ctx, &waits); kept != nil {
			return nil, kept
		}
	}
	return content, err
}

// begin begins the transaction of a message whose sender is proved, or returns what a
// RenewalReq led to before.
func (op *operation) begin(ctx context.Context, who access.Principal, csr *tbs.CSR, renews bool) (done []byte, t *Transaction, err error) {
	if _, err := who.Authorize(access.Enroll, op.tenant()); err != nil {
		return nil, nil, err
	}
	if renews {
		if done, err := op.renewed(ctx, who, csr); done != nil || err != nil {
			return done, nil, err
		}
	}
	t, err = op.server.cfg.Store.BeginSCEP(ctx, &Transaction{
		Tenant: op.tenant(), Endpoint: op.endpoint(), ID: op.id, Begun: op.server.cfg.Now().UTC(), Principal: who.ID,
		Signer: op.signerHash(), Key: sha256.Sum256(csr.Key.SPKI()),
	})
	return nil, t, err
}

// renewed returns what a RenewalReq led to before, as long as that answers it: a message that
// somebody recorded is no new request when its transaction is forgotten, however long the
// certificate lives that signed it. It returns nothing where there is none.
func (op *operation) renewed(ctx context.Context, who access.Principal, csr *tbs.CSR) ([]byte, error) {
	old := who.Certificate
	if old == nil || old.Owner != op.tenant() { // which the RA refuses
		return nil, nil
	}
	got, err := op.server.cfg.Certificates.RenewalOf(ctx, old, tbs.CutKey(tbs.BlankChallenge(csr.Raw), csr.Key.SPKI()))
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	}
	if answers, err := op.server.cfg.RA.Answers(ctx, got.Issuer, got.Serial); err != nil || !answers {
		return nil, err
	}
	return cms.CertsOnly([][]byte{got.DER})
}

// signerHash returns the hash of the key that signed the message.
func (op *operation) signerHash() [32]byte { return sha256.Sum256(cms.SubjectPublicKey(op.signer)) }

// waiting returns the transaction that a CertPoll is about: of its identifier and of the
// key that signed it.
func (op *operation) waiting(ctx context.Context) (*Transaction, error) {
	none := pki.Errorf(pki.NotFound, "nothing waits in a transaction %.60q of this key: ask for a certificate first", op.id)
	t, err := op.server.cfg.Store.SCEPTransaction(ctx, op.tenant(), op.endpoint(), op.id, op.signerHash())
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil, none
	case err != nil:
		return nil, err
	case t.Request == nil:
		return nil, none
	}
	opened := *t
	opened.Request, err = op.server.cfg.Sealer.Unseal(t.sealedFor(), t.Request)
	return &opened, err
}

// poll answers CertPoll (RFC 8894, 3.3.3): it asks again for what waits. The names that
// it carries say nothing that the transaction does not, but the subject must be its own.
func (op *operation) poll(ctx context.Context) ([]byte, error) {
	csr, err := tbs.ParseCSR(op.waits.Request)
	if err != nil {
		return nil, err
	}
	_, subject, ok := readIssuerAndSubject(op.content)
	if !ok {
		return nil, errOpen(nil)
	}
	if named, err := tbs.ParseName(subject); err != nil || named.String() != csr.Subject.String() {
		return nil, errOpen(err)
	}
	if _, err := op.recipient(); err != nil {
		return nil, err
	}
	who, err := op.again(ctx, op.waits)
	if err != nil {
		return nil, err
	}
	return op.ask(ctx, who, op.waits)
}

// ask has the registration authority issue what a transaction asks for. It returns the
// certificate alone, since clients take the first of several for it and DER sorts them.
func (op *operation) ask(ctx context.Context, who access.Principal, t *Transaction) ([]byte, error) {
	grant, err := who.Authorize(access.Enroll, t.Tenant)
	if err != nil {
		return nil, err
	}
	cfg := &op.server.cfg
	settle, err := op.await(ctx, who, t)
	if err != nil {
		return nil, err
	}
	got, err := cfg.RA.Enroll(ctx, enroll.Request{
		Grant: grant, Endpoint: op.label, Protocol: op.protocol(), Idempotency: t.retryKey(), Renews: t.Renews, Subject: enroll.Subject{CSR: t.Request},
	})
	if unsettled := settle(ctx, err); unsettled != nil { // it is looked for later
		cfg.Log.ErrorContext(ctx, "SCEP: what a validator is to be told", "endpoint", op.label, "error", unsettled)
	}
	if err != nil {
		return nil, err
	}
	return cms.CertsOnly([][]byte{got.Certificate.DER})
}

func (op *operation) protocol() pki.Protocol {
	if op.legacy {
		return pki.ProtocolSCEPLegacy
	}
	return pki.ProtocolSCEP
}

// readRequest reads the request in a message, with its challenge. Once its own signature
// verifies it is what somebody made, whole, and answers may say what is wrong with it.
func (op *operation) readRequest() (*tbs.CSR, error) {
	csr, err := tbs.ParseCSR(op.content)
	if err == nil {
		err = csr.CheckProof()
	}
	if err != nil {
		return nil, errOpen(err)
	}
	op.device, _ = enroll.DeviceOf(csr) // what names none stays unsaid
	op.challenge, err = csr.Challenge()
	return csr, err
}

// retryKey is the idempotency key of an enrolment: a client that lost the answer and sends
// its request again, in the same transaction, gets the same certificate. When that has
// ended, the RA issues another.
func (t *Transaction) retryKey() string {
	h := sha256.New()
	part := func(b []byte) { // each of one length, so that no two run together
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	part([]byte(t.Endpoint))
	part([]byte(t.ID))
	part([]byte(strconv.FormatInt(t.Begun.UnixMicro(), 10))) // an identifier comes again where the one before is forgotten
	part([]byte(strconv.FormatBool(t.Renews)))
	part(t.Signer[:])
	part(t.Request)
	return hex.EncodeToString(h.Sum(nil))
}
