package enroll

import (
	"context"
	"crypto/sha256"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/keypool"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A KeyDelivery says how a key that is made here comes to whoever asks for it.
type KeyDelivery string

// The deliveries.
const (
	OwnKey    KeyDelivery = ""       // none is made: the requester has its own
	KeyPlain  KeyDelivery = "plain"  // the adapter hands it out under TLS alone
	KeySealed KeyDelivery = "sealed" // the adapter encrypts it for the requester besides
)

// Keys makes private keys; keypool.Pool is one.
type Keys interface {
	Take(ctx context.Context, tenant pki.TenantID, kind pki.KeyKind) (*keypool.Key, error)
	// Return takes a key back that nobody has seen.
	Return(k *keypool.Key)
}

// aboutKey are the attributes of a request that say how a key is handed out, or prove
// who asks: what goes on is what the certificate is to have.
var aboutKey = []string{der.OIDDecryptKeyIdentifier, der.OIDAsymmetricDecryptKeyIdentifier, der.OIDSMIMECapabilities, der.OIDChallengePassword}

// enrollMade issues a certificate for a key that is made here. What the request asks for
// goes on as that key's own request, by the one path; its own key and its signature say
// nothing (RFC 7030, 4.4.1). The key is in the answer and nowhere else: a request that
// comes again under its idempotency key finds its certificate, and not the key, and is
// Conflict.
func (s *Service) enrollMade(ctx context.Context, lane *Lane, r *Request, idempotency string) (*pki.Enrollment, error) {
	profile := lane.profile.Profile()
	if r.Pair != nil || r.Renews {
		return nil, pki.Errorf(pki.Malformed, "a key is made here for one new certificate: for no pair, and for no renewal")
	}
	if err := profile.CheckServerKey(lane.requester.Role, r.MakeKey == KeySealed); err != nil {
		return nil, err
	}
	asked, err := s.requests.Parse(r.CSR)
	if err != nil {
		return nil, err
	}
	hash := madeHash(lane.Endpoint, r.Subject)
	if err := s.keyGone(ctx, lane.Endpoint.Tenant, idempotency, hash); err != nil {
		return nil, err
	}
	key, err := s.cfg.Keys.Take(ctx, lane.Endpoint.Tenant, profile.ServerKeyKind(asked.Key.Kind()))
	if err != nil {
		return nil, err
	}
	order, err := s.orderMade(ctx, lane, r, asked, key)
	if err != nil {
		s.cfg.Keys.Return(key)
		return nil, err
	}
	if order.Actor = r.Grant.Actor(); idempotency != "" {
		order.Idempotency, order.RequestHash = idempotency, hash
	}
	got, err := s.issue(ctx, lane, order)
	if err == nil && got.Repeated {
		err = errKeyGone()
	}
	if err != nil {
		key.Private().Clear()
		return nil, err
	}
	got.Key = key.Private()
	return got, nil
}

// orderMade decides on the request for a key that is made here.
func (s *Service) orderMade(ctx context.Context, lane *Lane, r *Request, asked *tbs.CSR, key *keypool.Key) (*issuance.Order, error) {
	csr, err := key.Request(asked.AppendRekeyed(nil, key.Public(), aboutKey...))
	if err != nil {
		return nil, err
	}
	subject := r.Subject
	subject.CSR = csr
	order, err := s.decide(ctx, lane, &subject)
	if err != nil {
		return nil, err
	}
	order.Request = csr
	return order, nil
}

// madeHash is requestHash for a request that has its key made here: under one
// idempotency key it is not the same as the request for its own key.
func madeHash(ep pki.Endpoint, r Subject) [32]byte {
	hash := requestHash(ep, r)
	return sha256.Sum256(append([]byte("key made here"), hash[:]...))
}

// keyGone refuses a request that was answered before, so that no key is made for it.
func (s *Service) keyGone(ctx context.Context, owner pki.TenantID, idempotency string, hash [32]byte) error {
	if idempotency == "" {
		return nil
	}
	_, request, err := s.cfg.Store.Claimed(ctx, owner, idempotency)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return nil
	case err != nil:
		return err
	case request != hash:
		return issuance.UsedForAnother()
	}
	return errKeyGone()
}

func errKeyGone() error {
	return pki.Errorf(pki.Conflict, "this request was answered before, with a key that was made here and is kept nowhere: if the answer was lost, have its certificate revoked, and enrol anew, with another secret where that was good for one time")
}
