package scep

import (
	"bytes"
	"context"
	"crypto/x509"
	"hash/maphash"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// prove proves who sent a message, within the limits: by the certificate whose key signed
// it, the challenge of its request, or both. It takes a place of the tenant's until the
// operation ends.
func (op *operation) prove(ctx context.Context, renews bool) (who access.Principal, err error) {
	cfg := &op.server.cfg
	secret := op.challenge
	if op.asked != "" { // it proved somebody already
		secret = pki.Secret{}
	}
	err = cfg.Limits.Admit(op.remote, op.credential(), func() (limit.Asker, error) {
		who, err = cfg.Prover.Prove(ctx, op.label, enrolauth.Presented{
			Certificates: op.certificates(), Secret: secret, Request: op.content, Own: op.own, Transaction: op.id, Device: op.device, Asked: op.asked, Protocol: pki.ProtocolSCEP, Renews: renews, Remote: op.remote,
		})
		return enrolauth.Asker(who), err
	})
	op.who = who
	if err == nil {
		op.leave, err = cfg.Limits.Share(who.Tenant, false)
	}
	if err == nil && who.Proofs == pki.ByCertificate && who.Device == "" {
		err = access.Refuse(access.Enroll, access.Scope{}, "by SCEP a certificate enrols the device that it is of, and this one is of none: send a challenge")
	}
	return who, err
}

// again returns whoever asked before, as they are at this moment: a challenge does not
// come again, and the certificate that signed does.
func (op *operation) again(ctx context.Context, t *Transaction) (access.Principal, error) {
	if !strings.HasPrefix(t.Principal, access.CertificatePrincipal) {
		op.asked = t.Principal
	}
	return op.prove(ctx, t.Renews)
}

// certificates returns those that a message proves its sender by: the one that signed it,
// and the others that it carries. One that a client made itself can be of any form; what
// cannot be read proves nobody.
func (op *operation) certificates() []*x509.Certificate {
	signer, err := x509.ParseCertificate(op.signer)
	if err != nil {
		return nil
	}
	all := []*x509.Certificate{signer}
	for _, raw := range op.signed.Certificates {
		if c, err := x509.ParseCertificate(raw); err == nil && !bytes.Equal(raw, op.signer) {
			all = append(all, c)
		}
	}
	return all
}

// credential names what a message would prove somebody by, without looking at it: a hash
// under a key of this process, that nobody can make another's.
func (op *operation) credential() uint64 {
	var h maphash.Hash
	h.SetSeed(op.server.seed)
	h.WriteString(op.label + "\n" + op.challenge.Reveal() + "\n")
	if op.challenge.IsZero() {
		h.Write(op.signer)
	}
	return h.Sum64()
}

// sender names who seems to have signed a message, before its signature is looked at.
func (op *operation) sender() uint64 {
	var h maphash.Hash
	h.SetSeed(op.server.seed)
	h.WriteString(op.label + "\n")
	if len(op.signed.Certificates) > 0 {
		h.Write(op.signed.Certificates[0])
	}
	return h.Sum64()
}

// checkSigner refuses a request for another key than the one that signed the message,
// unless that was signed by a certificate which proves who asks, as its maker's does: one
// that a client made itself proves nothing but its key (RFC 8894, 2.3). A RenewalReq proves
// itself by the certificate that it renews; where a validator took the challenge alone, it
// is as a PKCSReq.
func (op *operation) checkSigner(who access.Principal) error {
	if op.own || who.Proofs.Has(pki.ByCertificate) || op.kind == renewalReq && !enrolauth.Validated(who.ID) {
		return nil
	}
	return pki.Errorf(pki.BadProof, "the request is for another key than the one that signed the message; a certificate that is there is renewed by RenewalReq")
}
