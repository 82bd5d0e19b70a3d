package validator

import (
	"context"
	"crypto/fips140"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

const (
	round      = 2 * time.Second // between two looks at what is due
	roundTake  = 100             // notices of one validator at most
	roundTime  = 30 * time.Second
	tellTime   = 20 * time.Second
	lookAgain  = 10 * time.Minute // at a request of which nobody said what became of it
	firstPause = 5 * time.Second  // after a failure, doubled with each up to maxPause
	maxPause   = time.Hour
	untoldAt   = 5   // attempts, from which on it is an alarm
	giveUpAt   = 180 // attempts: a week
)

// failed is the code of a request that was refused: E_FAIL. Why is in the text.
const failed = 0x80004005

// Run tells validators what became of the requests that they took, until ctx ends: at least
// once each, also after the process ended in between.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(round)
	defer tick.Stop()
	var rounds sync.WaitGroup
	defer rounds.Wait()
	for {
		if err := s.tellAll(ctx, &rounds); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "look for what validators are to be told", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tellAll begins a round of each validator that is to be told something and has none under
// way: none waits for another's. One that is not configured any more has rounds, too, in
// which its notices come to their end.
func (s *Service) tellAll(ctx context.Context, rounds *sync.WaitGroup) error {
	names, err := s.cfg.Store.NoticeValidators(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !s.enter(name) {
			continue
		}
		rounds.Go(func() {
			defer s.leave(name)
			if err := s.tellOne(ctx, name); err != nil && ctx.Err() == nil {
				s.cfg.Log.ErrorContext(ctx, "tell a validator what became of requests", "validator", name, "error", err)
			}
		})
	}
	return nil
}

// enter begins a validator's round, unless one is under way.
func (s *Service) enter(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.telling[name] {
		return false
	}
	s.telling[name] = true
	return true
}

func (s *Service) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.telling, name)
}

// tellOne tells one validator what is due, until it does not answer or its round is over:
// what became due meanwhile, and what was put off, has its turn in the next.
func (s *Service) tellOne(ctx context.Context, name string) error {
	over := time.Now().Add(roundTime)
	due, err := s.cfg.Store.DueNotices(ctx, name, s.cfg.Now(), roundTake)
	if err != nil {
		return err
	}
	for _, n := range due {
		if !time.Now().Before(over) {
			return nil
		}
		told, err := s.tell(ctx, n)
		switch {
		case told:
			err = s.cfg.Store.DropNotice(ctx, n)
		case err != nil && ctx.Err() == nil:
			return s.putOff(ctx, n, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tell tells a validator what became of one request. told says that it was told, or that
// nothing is to be told any more; where neither it nor an error comes, nobody knows yet.
func (s *Service) tell(ctx context.Context, n *enrolauth.Notice) (told bool, err error) {
	action, what := "failureNotification", notification{Transaction: n.Transaction, Caller: caller, Result: failed, Description: oneLine(n.Failure, maxDescription)}
	if n.Failure == "" {
		c, err := s.issued(ctx, n)
		switch now := s.cfg.Now(); {
		case pki.KindOf(err) == pki.NotFound && now.Before(n.Until):
			return false, s.cfg.Store.PostponeNotice(ctx, n, now.Add(lookAgain), n.Attempts)
		case err != nil && pki.KindOf(err) == pki.NotFound:
			what.Description = "nothing was issued"
		case err != nil:
			return false, err
		default:
			action = "successNotification"
			if err := what.of(c); err != nil {
				return false, err
			}
		}
	}
	request, err := s.cfg.Sealer.Unseal(n.SealedFor(), n.Sealed)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "what a validator was to be told is lost", "validator", n.Validator, "endpoint", n.Endpoint, "transaction", n.Transaction, "error", err)
		return true, nil
	}
	what.Request = base64.StdEncoding.EncodeToString(request)
	v, err := s.find(n.Tenant, n.Validator)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	said, err := v.remote.post(ctx, action, outcome{what})
	s.heard(v, request, err)
	switch {
	case err != nil && kindOfFailure(err) == pki.Unavailable:
		return false, err
	case err == nil:
		err = said.judge(v.Name)
	}
	if err != nil { // it has heard it, and telling it again would not please it more
		s.cfg.Log.WarnContext(ctx, "a validator did not like what it was told", "action", action, "endpoint", n.Endpoint, "transaction", n.Transaction, "error", err)
	}
	s.setUntold(v, false)
	return true, nil
}

// issued returns the certificate that a request led to, or NotFound.
func (s *Service) issued(ctx context.Context, n *enrolauth.Notice) (*pki.Certificate, error) {
	if n.Idempotency == "" {
		return nil, pki.Errorf(pki.NotFound, "the enrolment was not begun")
	}
	g, err := access.System(n.Tenant, "validator").Authorize(access.Enroll, n.Tenant)
	if err != nil {
		return nil, err
	}
	return s.cfg.RA.Issued(ctx, g, n.Protocol, n.Device, n.Idempotency)
}

// of says what was issued.
func (n *notification) of(c *pki.Certificate) error {
	parsed, err := tbs.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	issuer, err := tbs.ParseName(parsed.Issuer)
	if err != nil {
		return err
	}
	var print [sha1.Size]byte
	fips140.WithoutEnforcement(func() { print = sha1.Sum(c.DER) }) // a name of it, which protects nothing
	n.Result, n.Description = 0, ""
	n.Thumbprint, n.Serial = strings.ToUpper(hex.EncodeToString(print[:])), strings.ToUpper(c.Serial.String())
	n.Expires, n.Issuer = c.NotAfter.UTC().Format("2006-01-02T15:04:05.000Z"), issuer.String()
	return nil
}

// putOff has a notice be told later.
func (s *Service) putOff(ctx context.Context, n *enrolauth.Notice, why error) error {
	attempts := n.Attempts + 1
	if attempts >= giveUpAt {
		s.cfg.Log.ErrorContext(ctx, "a validator was not told what became of a request", "validator", n.Validator, "endpoint", n.Endpoint, "transaction", n.Transaction, "error", why)
		return s.cfg.Store.DropNotice(ctx, n)
	}
	if v := s.validators[n.Validator]; v != nil && attempts >= untoldAt {
		s.setUntold(v, true)
	}
	pause := min(firstPause<<min(n.Attempts, 20), maxPause)
	s.cfg.Log.InfoContext(ctx, "a validator is told later", "validator", n.Validator, "transaction", n.Transaction, "after", pause, "error", why)
	return s.cfg.Store.PostponeNotice(ctx, n, s.cfg.Now().Add(pause), attempts)
}

// setUntold raises or clears the alarm that a validator is to be told something.
func (s *Service) setUntold(v *validator, untold bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	const name = "validator.untold"
	switch {
	case untold:
		v.waiting = true
		s.raise(v, name, alarm.Warning,
			fmt.Sprintf("The validator %s was not told of certificates that were issued, or requests that were refused: it does not take it.", v.Name),
			"See whether its service runs and can be reached from here; it is told again for a week.")
	case v.waiting:
		v.waiting = false
		s.clear(v, name)
	}
}
