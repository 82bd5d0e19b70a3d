package validator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/fakeintune"
	"github.com/pando-pki/pando/internal/pki"
)

// TestOddRequest: one request that a service cannot cope with, however often it comes and
// whatever it is answered, costs the others neither token nor address, and is no alarm.
func TestOddRequest(t *testing.T) {
	for _, status := range []int{401, 403, 404, 301, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			f := fakeintune.New(t)
			f.Take("good", "Success")
			f.Odd("odd", status)
			clock := pandotest.NewClock(time.Now())
			s, board, _ := newService(clock.Now, settings(f))
			odd, good := request(t, "odd"), request(t, "good")
			if err := s.Validate(t.Context(), "acme", "intune", "t-1", good); err != nil {
				t.Fatal(err)
			}
			tokens, lists := f.Tokens(), f.Lists()
			for range 10 {
				if err := s.Validate(t.Context(), "acme", "intune", "t-2", odd); pki.KindOf(err) != pki.Unavailable {
					t.Fatalf("%v", err)
				}
			}
			if f.Asked() != 11 || f.Tokens() != tokens || f.Lists() != lists {
				t.Errorf("asked %d times, %d more tokens, %d more lists", f.Asked(), f.Tokens()-tokens, f.Lists()-lists)
			}
			if alarms := board.Of(pki.Platform); len(alarms) != 0 {
				t.Errorf("%+v", alarms)
			}
			for range 3 { // different ones are an alarm
				_ = s.Validate(t.Context(), "acme", "intune", "t-2", request(t, "odd"))
			}
			operator, tenant := board.Of(pki.Platform), board.Of("acme")
			if len(operator) != 1 || operator[0].Name != "validator.unreachable" || !strings.Contains(operator[0].Do, fmt.Sprint(status)) {
				t.Errorf("%+v", operator)
			}
			if len(tenant) != 1 || tenant[0].Name != "validator.unreachable" || strings.Contains(tenant[0].What+tenant[0].Do, fmt.Sprint(status)) || len(board.Of("other")) != 0 {
				t.Errorf("of the tenant: %+v", tenant)
			}
			if err := s.Validate(t.Context(), "acme", "intune", "t-1", good); err != nil || len(board.Of(pki.Platform))+len(board.Of("acme")) != 0 {
				t.Errorf("%v, %+v, %+v", err, board.Of(pki.Platform), board.Of("acme"))
			}
		})
	}
}

// TestSingleFlight: many requests at once ask for one token and one list of services, at first
// and after the token was revoked.
func TestSingleFlight(t *testing.T) {
	f := fakeintune.New(t)
	f.Take("good", "Success")
	clock := pandotest.NewClock(time.Now())
	s, _, _ := newService(clock.Now, settings(f))
	good := request(t, "good")
	many := func() {
		t.Helper()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := s.Validate(t.Context(), "acme", "intune", "t-1", good); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	many()
	if f.Tokens() != 2 || f.Lists() != 1 { // one token for the service, one for the list
		t.Errorf("%d tokens, %d lists", f.Tokens(), f.Lists())
	}
	clock.Advance(time.Minute)
	f.Revoke()
	many()
	if f.Tokens() != 3 || f.Lists() != 1 {
		t.Errorf("%d tokens, %d lists after one was revoked", f.Tokens(), f.Lists())
	}
}

// TestMoved: a service that is not where it was is looked for again, also where nothing
// answers there any more.
func TestMoved(t *testing.T) {
	f := fakeintune.New(t)
	f.Take("good", "Success")
	gone := httptest.NewServer(http.NotFoundHandler())
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	defer gone.Close()
	good := request(t, "good")
	for name, at := range map[string]string{"not found": gone.URL, "no connection": closed.URL} {
		t.Run(name, func(t *testing.T) {
			clock := pandotest.NewClock(time.Now())
			s, _, _ := newService(clock.Now, settings(f))
			f.Elsewhere(at)
			if err := s.Validate(t.Context(), "acme", "intune", "t-1", good); pki.KindOf(err) != pki.Unavailable {
				t.Fatalf("%v", err)
			}
			f.Elsewhere("")
			clock.Advance(time.Minute)
			tokens := f.Tokens()
			if err := s.Validate(t.Context(), "acme", "intune", "t-1", good); err != nil || f.Tokens() != tokens {
				t.Errorf("%v, %d more tokens", err, f.Tokens()-tokens)
			}
		})
	}
}

// TestTokensAreKept: while no other token is to be had, a request that the service answers by
// 401 takes none from the others.
func TestTokensAreKept(t *testing.T) {
	f := fakeintune.New(t)
	f.Take("good", "Success")
	f.Odd("odd", http.StatusUnauthorized)
	clock := pandotest.NewClock(time.Now())
	s, _, _ := newService(clock.Now, settings(f))
	good, odd := request(t, "good"), request(t, "odd")
	if err := s.Validate(t.Context(), "acme", "intune", "t-1", good); err != nil {
		t.Fatal(err)
	}
	f.GiveNone()
	clock.Advance(time.Minute)
	if err := s.Validate(t.Context(), "acme", "intune", "t-2", odd); pki.KindOf(err) != pki.Unavailable {
		t.Errorf("%v", err)
	}
	if err := s.Validate(t.Context(), "acme", "intune", "t-1", good); err != nil {
		t.Errorf("%v", err)
	}
}
