package scep

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// This file is what a service outside, which took the challenge of a request, is asked and
// told: once about each request, and of each that it took.

// taken returns who asked, where a message is one that came before: in its transaction, with
// the same request under the same key, a validator took it, and it has its certificate or
// waits for approval. The validator is not asked again then, and need not take it any more.
func (op *operation) taken(ctx context.Context, csr *tbs.CSR, renews bool) (asked string, err error) {
	cfg := &op.server.cfg
	t, err := cfg.Store.SCEPTransaction(ctx, op.tenant(), op.endpoint(), op.id, op.signerHash())
	switch {
	case pki.KindOf(err) == pki.NotFound || err == nil && !enrolauth.Validated(t.Principal):
		return "", nil
	case err != nil:
		return "", err
	}
	if t.Request != nil && t.Renews == renews {
		request, err := cfg.Sealer.Unseal(t.sealedFor(), t.Request)
		if err != nil || bytes.Equal(request, csr.Raw) {
			return t.Principal, err
		}
	}
	g, err := access.System(t.Tenant, "scep").Authorize(access.Enroll, t.Tenant)
	if err != nil {
		return "", err
	}
	_, err = cfg.RA.Issued(ctx, g, op.protocol(), "", t.of(csr, renews).retryKey())
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return "", nil
	case err != nil:
		return "", err
	}
	return t.Principal, nil
}

// of returns the transaction with a request.
func (t *Transaction) of(csr *tbs.CSR, renews bool) *Transaction {
	with := *t
	with.Request, with.Renews = csr.Raw, renews
	return &with
}

// awaited is what a validator is to be told of.
func (op *operation) awaited(request []byte, idempotency string) enrolauth.Awaited {
	return enrolauth.Awaited{Label: op.label, Transaction: op.id, Request: request, Own: op.own, Protocol: op.protocol(), Idempotency: idempotency}
}

// await has whoever took the challenge be told what becomes of a request, which settle says.
// Of a message that came before it is known already, unless it is refused now.
func (op *operation) await(ctx context.Context, who access.Principal, t *Transaction) (settle func(context.Context, error) error, err error) {
	prover, a := op.server.cfg.Prover, op.awaited(t.Request, t.retryKey())
	a.Own = t.Key == sha256.Sum256(cms.SubjectPublicKey(op.signer)) // also of a poll, which brings no request
	if op.asked == "" || op.kind == certPoll {
		return prover.Await(ctx, who, a)
	}
	return func(ctx context.Context, err error) error {
		if err == nil || pki.KindOf(err) == pki.Pending {
			return nil
		}
		return prover.Refused(ctx, who, a, err)
	}, nil
}

// cameToNothing has whoever took the challenge be told that a request was not enrolled: it
// was refused before, or, where err is nil, the certificate is one that was there already.
func (op *operation) cameToNothing(ctx context.Context, csr *tbs.CSR, renews bool, err error) {
	if op.asked != "" || !enrolauth.Validated(op.who.ID) {
		return
	}
	if err == nil {
		err = pki.Errorf(pki.Conflict, "the request was sent before: nothing was issued but what it led to then")
	}
	cfg := &op.server.cfg
	a := op.awaited(csr.Raw, "")
	t, unknown := cfg.Store.SCEPTransaction(ctx, op.tenant(), op.endpoint(), op.id, op.signerHash())
	if unknown == nil { // the same message, sent at the same time, may have its certificate by now
		a.Idempotency = t.of(csr, renews).retryKey()
	}
	if untold := cfg.Prover.Refused(ctx, op.who, a, err); untold != nil {
		cfg.Log.ErrorContext(ctx, "SCEP: what a validator is to be told", "endpoint", op.label, "error", untold)
	}
}
