package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// This file is about requests that come again by a protocol whose adapter makes the
// idempotency key of what the client sent, since the client has no word for it. It cannot
// say either that it wants another certificate: the octets of a device that keeps its key,
// and of one whose request lies in a file, are the same for ever. So a certificate that has
// ended is no answer to them, and what it was asked for by is asked anew, under a key that
// also has the ended one: of those who repeat that, all get the one certificate again.
//
// Who sends a key of their own, as over REST, says by it which requests are one, and a
// secret that is good for one certificate is so for ever.

// repeats reports whether what a request leads to may be asked for anew by the same request.
func repeats(who access.Principal, protocol pki.Protocol, idempotency string) bool {
	return protocol != pki.ProtocolREST && who.Once == "" && idempotency != ""
}

// afresh returns what a request is repeated by once the certificate that it led to has ended.
func afresh(idempotency string, issuer pki.IssuerID, ended pki.Serial) string {
	h := sha256.New()
	for _, s := range []string{idempotency, string(issuer), ended.String()} {
		part(h, s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Answers reports whether a certificate that a request led to is the answer to the same
// request now: one that has ended is not, archived or not. One that is revoked or on hold
// refuses the request, also after its end: what somebody took back is not to be had again by
// asking. NotFound is one that is not issued yet.
func (s *Service) Answers(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (bool, error) {
	status, err := s.cfg.Store.Status(ctx, issuer, serial)
	switch {
	case err != nil:
		return false, err
	case !status.Known:
		return false, pki.Errorf(pki.NotFound, "the certificate %s is not issued yet", serial)
	case status.Revocation != nil:
		return false, pki.Errorf(pki.PolicyRefused, "this request led to the certificate %s, which is revoked (%s, %s): send a new one", serial, status.Revocation.Reason, status.Revocation.At.UTC().Format(time.RFC3339))
	}
	return s.cfg.Now().Before(status.NotAfter), nil
}

// A claim is the idempotency key of a request: the key that came with it, or was made afresh
// of that, the one under which it is stored, and what that led to, nil for nothing yet.
type claim struct {
	idempotency, key string
	led              *issuance.Earlier
}

// latest returns the claim that a request has by now, also with the refusal of Answers. It
// goes through the certificates that ended since the first key was stored: when that is
// forgotten, the request is a new one. So there are as many as can have ended one after the
// other while a key is kept: in 30 days 30 that are valid for a day, 720 for an hour.
func (s *Service) latest(ctx context.Context, owner pki.TenantID, who access.Principal, protocol pki.Protocol, idempotency string) (claim, error) {
	for {
		key, err := idempotencyKey(who, protocol, idempotency)
		now := claim{idempotency: idempotency, key: key}
		if err != nil || !repeats(who, protocol, idempotency) {
			return now, err
		}
		earlier, _, err := s.cfg.Store.Claimed(ctx, owner, key)
		var answers bool
		if err == nil {
			answers, err = s.Answers(ctx, earlier.Issuer, earlier.Serial)
		}
		switch {
		case pki.KindOf(err) == pki.NotFound:
			return now, nil
		case answers || pki.KindOf(err) == pki.PolicyRefused:
			now.led = &earlier
			return now, err
		case err != nil:
			return now, err
		}
		idempotency = afresh(idempotency, earlier.Issuer, earlier.Serial)
	}
}
