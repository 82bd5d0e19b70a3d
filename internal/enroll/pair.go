package enroll

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

// A Pair asks, in a request, for a second certificate: for the same device, with
// another key, under a profile that names the request's as its pair and is named by
// it. Both are issued, or neither.
type Pair struct {
	Endpoint string // as in Request; of the same authority
	CSR      []byte // DER
}

// enrollPair issues the request's certificate and its pair's. asked is the request as
// it came.
func (s *Service) enrollPair(ctx context.Context, first *Lane, r *Request, asked Request, idempotency string) (*pki.Enrollment, error) {
	second, err := s.Open(ctx, r.Grant, r.Pair.Endpoint, r.Protocol)
	if err != nil {
		return nil, err
	}
	if first.line.Issuer.ID != second.line.Issuer.ID {
		return nil, pki.Errorf(pki.PolicyRefused, "the endpoints %s and %s have different authorities: one signs both certificates of a pair", first.Endpoint.Label(), second.Endpoint.Label())
	}
	lanes := [2]*Lane{first, second}
	subjects := [2]Subject{r.Subject, r.Subject}
	subjects[1].CSR = r.Pair.CSR
	first.pair, second.pair = second.profile.Profile().Name(), first.profile.Profile().Name()
	if err := s.checkSubject(ctx, r.Grant, second, &subjects[1]); err != nil {
		return nil, err
	}
	if err := s.checkPlace(ctx, r.Grant, second, &subjects[1]); err != nil {
		return nil, err
	}
	orders, err := s.decidePair(ctx, lanes, &subjects)
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	for i, lane := range lanes {
		h := requestHash(lane.Endpoint, subjects[i])
		hash.Write(h[:])
	}
	for i, order := range orders {
		order.Request, order.Actor = subjects[i].CSR, r.Grant.Actor()
		if idempotency != "" {
			order.Idempotency, order.RequestHash = idempotency, [32]byte(hash.Sum(nil))
		}
	}
	if idempotency != "" {
		orders[1].Idempotency += "\npair" // no key that is sent has a control character
	}
	if approves(r, lanes[:]...) {
		d := decided{asked, lanes[:], orders[:]}
		if got, err := s.approve(ctx, &d); got != nil || err != nil {
			return got, err
		}
	}
	pair, repeated, err := s.cfg.CA.IssuePair(ctx, orders)
	if err != nil {
		return nil, err
	}
	got, err := s.enrollment(ctx, first, pair[0], repeated)
	if err != nil {
		return nil, err
	}
	got.Pair = pair[1]
	return got, nil
}

// decidePair is decide for both of a pair.
func (s *Service) decidePair(ctx context.Context, lanes [2]*Lane, subjects *[2]Subject) (orders [2]*issuance.Order, err error) {
	defer s.cfg.CA.Coming()()
	now, err := s.cfg.CA.Time()
	if err != nil {
		return orders, err
	}
	for i := range lanes {
		if orders[i], err = s.order(ctx, lanes[i], &subjects[i], now); err != nil {
			return orders, err
		}
	}
	switch {
	case orders[0].Device != orders[1].Device:
		return orders, pki.Errorf(pki.Malformed, "the requests are for %q and %q: a pair is for one device", orders[0].Device, orders[1].Device)
	case bytes.Equal(orders[0].Content.Key.SPKI(), orders[1].Content.Key.SPKI()):
		return orders, pki.Errorf(pki.DuplicateKey, "both requests are for the same key: a pair has two")
	}
	return orders, nil
}

// unpaired is the refusal of a request whose pair is not the one that its profile
// wants.
func unpaired(profile *policy.Profile, asked string) error {
	if wants := profile.Pair(); wants != "" {
		return pki.Errorf(pki.PolicyRefused, "the profile %s is issued together with %s, for another key of the same device: ask for both in one request (pair)", profile.Name(), wants)
	}
	return pki.Errorf(pki.PolicyRefused, "the profile %s is not issued together with %s: ask for each by itself", profile.Name(), asked)
}
