package revocation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// maxAge is how old an answer that is given may be. It bounds for how long an HTTP
// cache that heeds Response.Renew can hide a revocation.
const maxAge = time.Hour

// A Response is one signed OCSP response. It is shared: nobody changes it.
type Response struct {
	DER        []byte
	Hash       [32]byte // SHA-256 of DER
	ThisUpdate time.Time
	NextUpdate time.Time
	// Renew is when the same question gets a new answer, though nothing happened:
	// a client that comes back then finds one (RFC 9919, 7.1).
	Renew time.Time
	by    *responder
	// Cacheable says that the same answer may be given again until Renew: it
	// holds no nonce and no status "unknown", which ends when the serial is issued.
	Cacheable bool

	told tally
}

// Respond answers a DER OCSPRequest that was sent to the given issuer's
// responder. A serial that the issuer never used is "unknown".
//
// The error's kind says which unsigned response the requester gets: Malformed;
// Forbidden where a CertID is not of this issuer, or the issuer is not ours or
// is one whose key is offline (RFC 6960, 2.3, "unauthorized"); Unavailable;
// Internal.
func (s *Service) Respond(ctx context.Context, issuer pki.IssuerID, request []byte) (*Response, error) {
	got, err := s.respond(ctx, issuer, request)
	if err != nil {
		s.stats.Refused.Add(pki.KindOf(err))
		return nil, err
	}
	s.stats.answered(got.told)
	return got, nil
}

func (s *Service) respond(ctx context.Context, issuer pki.IssuerID, request []byte) (*Response, error) {
	req, err := tbs.ParseOCSPRequest(request)
	if err != nil {
		return nil, err
	}
	id, err := s.identities.get(ctx, issuer)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil, pki.Errorf(pki.Forbidden, "no such issuer")
	case err != nil:
		return nil, err
	case !id.online():
		return nil, pki.Errorf(pki.Forbidden, "this issuer has no OCSP responder")
	}
	for i := range req.IDs {
		if !id.owns(&req.IDs[i]) {
			return nil, pki.Errorf(pki.Forbidden, "a CertID names another issuer")
		}
	}
	if len(req.IDs) == 1 && req.Nonce == nil {
		return s.keptAnswer(ctx, id, &req.IDs[0])
	}
	statuses := make([]Status, len(req.IDs))
	for i := range req.IDs {
		if statuses[i], err = s.status(ctx, id, &req.IDs[i]); err != nil {
			return nil, fmt.Errorf("status: %w", err)
		}
	}
	return s.signResponse(ctx, id, req.IDs, statuses, req.Nonce)
}

// signResponse signs one response about all of ids.
func (s *Service) signResponse(ctx context.Context, id *identity, ids []tbs.CertID, statuses []Status, nonce []byte) (*Response, error) {
	r, err := s.responders.get(ctx, id, s.revoked.Load())
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now().UTC().Truncate(time.Second) // when r is in force already
	response := &Response{by: r, ThisUpdate: now.Add(-Backdate), NextUpdate: now.Add(s.cfg.OCSPLife), Cacheable: nonce == nil}
	if response.NextUpdate.After(r.notAfter) {
		response.NextUpdate = r.notAfter // nobody can verify it later
	}
	response.Renew = now.Add(min(maxAge, response.NextUpdate.Sub(now)/2))
	singles := make([]tbs.OCSPSingle, len(ids))
	for i, status := range statuses {
		singles[i] = tbs.OCSPSingle{ID: ids[i].Raw, ThisUpdate: response.ThisUpdate, NextUpdate: response.NextUpdate}
		switch {
		case !status.Known:
			singles[i].Status = tbs.OCSPUnknown
			response.Cacheable = false
		case status.Revocation != nil:
			singles[i].Status = tbs.OCSPRevoked
			singles[i].RevokedAt, singles[i].Reason = status.Revocation.At, status.Revocation.Reason
		default:
			singles[i].Status = tbs.OCSPGood
		}
		response.told.add(singles[i].Status)
	}
	data := tbs.AppendResponseData(nil, r.keyID, now, singles, nonce)
	if err := lintOCSP(data, response, singles, nonce); err != nil {
		return nil, err
	}
	signature, err := s.cfg.Signer.Sign(ctx, r.key, signer.OCSP, data, false)
	if err != nil {
		return nil, fmt.Errorf("sign the OCSP response: %w", err)
	}
	response.DER = tbs.AppendOCSPResponse(nil, data, r.algorithm, signature, r.certificate)
	response.Hash = sha256.Sum256(response.DER)
	return response, nil
}
