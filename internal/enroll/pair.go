package enroll

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
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
	if err := first.join(second); err != nil {
		return nil, err
	}
	lanes := [2]*Lane{first, second}
	subjects := [2]Subject{r.Subject, r.Subject}
	subjects[1].CSR = r.Pair.CSR
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
	if approves(r, first) {
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
	return orders, checkPair([2]pki.DeviceID{orders[0].Device, orders[1].Device},
		[2][32]byte{tbs.SecretHash(orders[0].Content.Key), tbs.SecretHash(orders[1].Content.Key)})
}

// checkPair refuses a pair that is not for one device and two keys. A key is known by its
// secret.
func checkPair(devices [2]pki.DeviceID, keys [2][32]byte) error {
	switch {
	case devices[0] != devices[1]:
		return pki.Errorf(pki.Malformed, "the requests are for %q and %q: a pair is for one device", devices[0], devices[1])
	case keys[0] == keys[1]:
		return pki.Errorf(pki.DuplicateKey, "both requests are for the same key: a pair has two")
	}
	return nil
}

// join has both lanes issue pairs, the second of each by other: their profiles name each
// other, and one issuer signs both. Neither lane is another request's.
func (l *Lane) join(other *Lane) error {
	first, second := l.profile.Profile(), other.profile.Profile()
	switch {
	case l.line.Authority.ID != other.line.Authority.ID:
		return pki.Errorf(pki.PolicyRefused, "the endpoints %s and %s have different authorities: one signs both certificates of a pair", l.Endpoint.Label(), other.Endpoint.Label())
	case l.line.Issuer.ID != other.line.Issuer.ID: // it was switched between the two looks
		return &pki.Error{Kind: pki.Unavailable, Detail: "the authority is being switched to its next issuer; send the request again", RetryAfter: time.Second}
	case first.Pair() != second.Name():
		return unpaired(first, second)
	case second.Pair() != first.Name():
		return unpaired(second, first)
	}
	l.other, other.other = other, l
	return nil
}

// unpaired is the refusal of a pair that is not the one which a profile wants.
func unpaired(profile, asked *policy.Profile) error {
	if wants := profile.Pair(); wants != "" {
		return pki.Errorf(pki.PolicyRefused, "the profile %s is issued together with %s, not with %s: name an endpoint of that one", profile.Name(), wants, asked.Name())
	}
	return pki.Errorf(pki.PolicyRefused, "the profile %s is not issued together with %s: ask for each by itself", profile.Name(), asked.Name())
}

// checkAlone refuses a lane whose profile issues nothing alone.
func (l *Lane) checkAlone() error {
	profile := l.profile.Profile()
	if profile.Pair() == "" || l.other != nil {
		return nil
	}
	how := "ask for both in one request (pair)"
	if l.protocol == pki.ProtocolBatch {
		how = "name an endpoint of that one, too, and give each device two requests (pair_endpoint; 'pando batch submit --pair-endpoint')"
	}
	return pki.Errorf(pki.PolicyRefused, "the profile %s is issued together with %s, for another key of the same device: %s", profile.Name(), profile.Pair(), how)
}

// of returns the lane of a batch's row. Of pairs, a device has the rows 2i-1 and 2i.
func (l *Lane) of(row int64) *Lane {
	if l.other != nil && row%2 == 0 {
		return l.other
	}
	return l
}

// pairRows joins what was made of the rows of pairs, and refuses both where one is
// refused. made and refused are by the rows' places.
func pairRows(rows []Row, made []*issuance.Item, refused []error) error {
	if len(rows)%2 != 0 || rows[0].No%2 == 0 {
		return fmt.Errorf("the rows %d to %d are not those of pairs", rows[0].No, rows[len(rows)-1].No)
	}
	for i := 0; i < len(rows); i += 2 {
		a, b := made[i], made[i+1]
		if a != nil && b != nil {
			a.With, b.With = b, a
			err := checkPair([2]pki.DeviceID{a.Device, b.Device}, [2][32]byte{a.KeyHash, b.KeyHash})
			if err == nil {
				continue
			}
			refused[i], refused[i+1] = err, err
		}
		made[i], made[i+1] = nil, nil
		both := issuance.RefuseBoth([2]error{refused[i], refused[i+1]}, [2]int64{rows[i].No, rows[i+1].No})
		refused[i], refused[i+1] = both[0], both[1]
		// Of a request that cannot be read, the other says whose it is.
		rows[i].Device = cmp.Or(rows[i].Device, rows[i+1].Device)
		rows[i+1].Device = cmp.Or(rows[i+1].Device, rows[i].Device)
	}
	return nil
}
