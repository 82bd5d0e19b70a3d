package ceremony

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// maxStep is how far a CRL's number may be above the journal's last. A server
// counts by one; a number near the largest would leave none for later CRLs.
const maxStep = 1_000_000

// usualDays is how long a CRL of the root lasts where a request does not say.
const usualDays = 365

// signCRL signs a CRL of the root's one shard.
func (r *root) signCRL(ctx context.Context, j *journal, req *Request, now time.Time) (*Response, error) {
	if req.Number <= j.number {
		return nil, pki.Errorf(pki.Conflict, "CRL number %d: the journal has number %d already, and numbers only grow", req.Number, j.number)
	}
	if req.Number-j.number > maxStep {
		return nil, pki.Errorf(pki.Conflict, "CRL number %d: the journal's last is %d, and the next is at most %d above it", req.Number, j.number, maxStep)
	}
	entries, err := revocations(req.Entries, now)
	if err != nil {
		return nil, err
	}
	days := req.Days
	if days == 0 {
		days = usualDays
	}
	at := now.Truncate(time.Second)
	var encoded []byte
	for i := range entries {
		if encoded, err = entries[i].Append(encoded); err != nil {
			return nil, fmt.Errorf("encode CRL: %w", err)
		}
	}
	list, err := tbs.NewCertList(&tbs.CRLInfo{
		Issuer:      r.certificate.Subject,
		IssuerKeyID: r.certificate.SubjectKeyID(),
		Algorithm:   r.certificate.Key.SignatureAlgorithm(),
		Number:      req.Number,
		ThisUpdate:  at,
		NextUpdate:  at.AddDate(0, 0, days),
	}, len(encoded))
	if err != nil {
		return nil, fmt.Errorf("encode CRL: %w", err)
	}
	message := slices.Concat(list.Begin(), encoded, list.End())
	if err := policy.LintCRL(message, r.certificate.Key.SignatureAlgorithm()); err != nil {
		return nil, err
	}
	intent := entry{At: now, Mode: r.mode, Act: KindCRL, Step: stepIntent, Number: req.Number, Request: req.hash(), TBS: message}
	crl, err := r.act(ctx, j, intent, func(signed []byte) error { return r.checkCRL(signed, req.Number, len(entries)) })
	if err != nil {
		return nil, err
	}
	return req.answer(crl), nil
}

// revocations reads the entries of a request: serials once each, times not after
// now.
func revocations(in []Revocation, now time.Time) ([]tbs.CRLEntry, error) {
	out := make([]tbs.CRLEntry, 0, len(in))
	seen := make(map[pki.Serial]bool, len(in))
	for i, e := range in {
		serial, err := pki.ParseSerial(e.Serial)
		if err != nil {
			return nil, malformed("entry %d: %s", i+1, pki.DetailOf(err))
		}
		reason, err := pki.ParseReason(e.Reason)
		if err != nil {
			return nil, malformed("entry %d: %s", i+1, pki.DetailOf(err))
		}
		switch {
		case seen[serial]:
			return nil, malformed("entry %d: serial %s stands twice", i+1, serial)
		case e.At.IsZero():
			return nil, malformed("entry %d: at is missing", i+1)
		case e.At.After(now):
			return nil, malformed("entry %d: it was revoked at %s, which by this machine's clock is yet to come", i+1, e.At.UTC().Format(time.RFC3339))
		}
		seen[serial] = true
		out = append(out, tbs.CRLEntry{Serial: serial, At: e.At.UTC().Truncate(time.Second), Reason: reason})
	}
	return out, nil
}

// checkCRL reads a signed CRL back with crypto/x509, a reader that is not the
// encoder's.
func (r *root) checkCRL(der []byte, number int64, entries int) error {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("read the CRL back: %w", err)
	}
	issuer, err := x509.ParseCertificate(r.certificate.Raw)
	if err != nil {
		return fmt.Errorf("read the root back: %w", err)
	}
	// sign has verified the signature; crypto/x509 does so once more where it knows
	// the algorithm.
	if issuer.PublicKeyAlgorithm != x509.UnknownPublicKeyAlgorithm {
		if err := crl.CheckSignatureFrom(issuer); err != nil {
			return fmt.Errorf("read the CRL back: %w", err)
		}
	}
	if !crl.Number.IsInt64() || crl.Number.Int64() != number || len(crl.RevokedCertificateEntries) != entries {
		return errors.New("read the CRL back: it is not the one that was asked for")
	}
	return nil
}
