package scep

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// TestKeyOfChallenge: the key of a challenge that somebody chose is derived once, however
// often a message is sent again, and a few iterations are enough for a random one.
func TestKeyOfChallenge(t *testing.T) {
	now := time.Now()
	f := newFake(t)
	s := f.server()
	s.cfg.Now = func() time.Time { return now }
	device := newParty(t, newEC(t), "device")
	message := device.send(t, request{kind: pkcsReq, id: "1", content: newCSR(t, device.key, "device", "once"), to: f.to[0].certificate})
	key := func() *cms.PasswordKey {
		t.Helper()
		certificateIn(t, post(t, s, message, cms.Key{Password: pki.NewSecret("once")}))
		if len(s.passwords.known) != 1 {
			t.Fatalf("%d keys are known", len(s.passwords.known))
		}
		for _, k := range s.passwords.known {
			return k.PasswordKey
		}
		return nil
	}
	first := key()
	if again := key(); again != first {
		t.Error("derived again")
	}
	now = now.Add(keyLife)
	if later := key(); later == first {
		t.Error("kept for ever")
	}
	random := pki.NewSecret("0abcdefghijklmnopqrstuv012-0123456789abcdefghijklmnopqrstuv")
	if !enrolauth.IsRandom(random) {
		t.Fatal("not of random form")
	}
	op := &operation{server: s, challenge: random}
	if k, err := op.passwordKey(t.Context()); k == nil || err != nil || len(s.passwords.known) != 1 {
		t.Errorf("of a random challenge: %v, %d keys are known", err, len(s.passwords.known))
	}
	for n := range maxKeys {
		s.passwords.keep([32]byte{1, byte(n), byte(n >> 8)}, first, now)
	}
	if len(s.passwords.known) > maxKeys {
		t.Errorf("%d keys are known", len(s.passwords.known))
	}
}

// A waiter is an Enroller that keeps what it is asked until it may go on.
type waiter struct {
	*fake
	asked, goOn chan struct{}
}

func (p waiter) Enroll(ctx context.Context, r enroll.Request) (*pki.Enrollment, error) {
	p.asked <- struct{}{}
	<-p.goOn
	return p.fake.Enroll(ctx, r)
}

// TestShareOfTenant: messages that are proved take the places of their tenant, beside its
// requests to the API, until they are answered.
func TestShareOfTenant(t *testing.T) {
	f := newFake(t)
	slow := waiter{f, make(chan struct{}), make(chan struct{})}
	limits := limit.New(limit.Config{Requests: 4, Messages: 64, Now: time.Now})
	s := f.server()
	s.cfg.RA, s.cfg.Limits = slow, limits
	device := newParty(t, newRSA(t, "device"), "device")
	message := func(id string) []byte {
		return device.send(t, request{kind: pkcsReq, id: id, content: newCSR(t, device.key, "device", "once"), to: f.to[0].certificate})
	}
	first := make(chan int)
	one, two := message("1"), message("2")
	go func() { first <- call(s, http.MethodPost, operationURL, one).Code }()
	<-slow.asked
	if w := call(s, http.MethodPost, operationURL, two); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("HTTP %d over the tenant's share", w.Code)
	}
	if _, err := limits.Share("demo", false); pki.KindOf(err) != pki.RateLimited {
		t.Errorf("a request to the API beside it: %v", err)
	}
	close(slow.goOn)
	if status := <-first; status != http.StatusOK {
		t.Errorf("HTTP %d", status)
	}
	leave, err := limits.Share("demo", false)
	if err != nil {
		t.Fatalf("the place is not given back: %v", err)
	}
	leave()
}
