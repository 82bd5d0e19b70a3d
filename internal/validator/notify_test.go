package validator_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/fakeintune"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/validator"
)

// A notices is a store of notices in memory, and seals nothing.
type notices struct {
	mu  sync.Mutex
	all []*enrolauth.Notice
}

func (s *notices) find(tenant pki.TenantID, key string) int {
	return slices.IndexFunc(s.all, func(n *enrolauth.Notice) bool { return n.Tenant == tenant && n.Key == key })
}

func (s *notices) asRead(read *enrolauth.Notice) int {
	at := s.find(read.Tenant, read.Key)
	if at >= 0 && (!s.all[at].Due.Equal(read.Due) || !bytes.Equal(s.all[at].Sealed, read.Sealed)) {
		return -1
	}
	return at
}

func (s *notices) PutNotice(_ context.Context, n *enrolauth.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.find(n.Tenant, n.Key); at >= 0 {
		s.all = slices.Delete(s.all, at, at+1)
	}
	s.all = append(s.all, n)
	return nil
}

func (s *notices) NoticeValidators(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, n := range s.all {
		names = append(names, n.Validator)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (s *notices) DueNotices(_ context.Context, name string, at time.Time, limit int) ([]*enrolauth.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []*enrolauth.Notice
	for _, n := range s.all {
		if n.Validator == name && !n.Due.After(at) {
			one := *n
			due = append(due, &one)
		}
	}
	slices.SortStableFunc(due, func(a, b *enrolauth.Notice) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Key, b.Key)) })
	return due[:min(limit, len(due))], nil
}

func (s *notices) PostponeNotice(_ context.Context, read *enrolauth.Notice, due time.Time, attempts int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.asRead(read); at >= 0 {
		s.all[at].Due, s.all[at].Attempts = due, attempts
	}
	return nil
}

func (s *notices) DropNotice(_ context.Context, read *enrolauth.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.asRead(read); at >= 0 {
		s.all = slices.Delete(s.all, at, at+1)
	}
	return nil
}

func (s *notices) Seal(_ string, plain []byte) []byte             { return plain }
func (s *notices) Unseal(_ string, sealed []byte) ([]byte, error) { return sealed, nil }

// of returns how many are left of a validator.
func (s *notices) of(name string) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.all {
		if n.Validator == name {
			left++
		}
	}
	return left
}

// TestOneKeepsNoOtherWaiting: validators that are dead, that dawdle and that are not
// configured any more have many notices, older than those of one that is well, which is told
// all the same at once.
func TestOneKeepsNoOtherWaiting(t *testing.T) {
	var asked []validator.Settings
	fakes := make(map[string]*fakeintune.Service)
	for _, name := range []string{"well", "slow", "dead"} {
		fakes[name] = fakeintune.New(t)
		one := settings(fakes[name])
		one.Name = name
		asked = append(asked, one)
	}
	fakes["slow"].Hold()
	fakes["dead"].Fail(500)
	store := new(notices)
	csr := request(t, "challenge")
	put := func(name string, count int, due time.Time) {
		for i := range count {
			_ = store.PutNotice(t.Context(), &enrolauth.Notice{Tenant: "acme", Key: fmt.Sprint(name, i), Validator: name, Transaction: fmt.Sprint(i), Sealed: csr,
				Due: due, Failure: "refused"})
		}
	}
	now := time.Now()
	put("slow", 300, now.Add(-3*time.Hour))
	put("dead", 300, now.Add(-2*time.Hour))
	put("gone", 300, now.Add(-2*time.Hour))
	put("well", 150, now.Add(-time.Hour)) // more than one round takes
	s := validator.New(validator.Config{Validators: asked, Store: store, Sealer: store, Alarms: alarm.NewBoard(time.Now), Now: time.Now, Log: slog.New(slog.NewTextHandler(new(bytes.Buffer), nil))})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for begun := time.Now(); store.of("well") > 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("%d of the one that is well are left", store.of("well"))
		}
	}
	if told := fakes["well"].Told(); len(told) != 150 {
		t.Errorf("it was told %d", len(told))
	}
	for _, name := range []string{"slow", "dead", "gone"} {
		if left := store.of(name); left != 300 {
			t.Errorf("%d of %s are left", left, name)
		}
	}
	stop() // also a round that is under way
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An issuedRA has issued one certificate.
type issuedRA struct{ certificate *pki.Certificate }

func (ra issuedRA) Issued(context.Context, access.Permit, pki.Protocol, pki.DeviceID, string) (*pki.Certificate, error) {
	return ra.certificate, nil
}

// TestToldMeanwhile: a request that was refused comes again, and leads to a certificate while
// the validator is being told of the refusal: it is told of that, too.
func TestToldMeanwhile(t *testing.T) {
	f := fakeintune.New(t)
	store := new(notices)
	now := time.Now()
	key := pandotest.Key(t, pki.P256)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	refused := &enrolauth.Notice{Tenant: "acme", Key: "k", Idempotency: "k", Validator: settings(f).Name, Transaction: "t", Sealed: request(t, "challenge"), Due: now, Failure: "refused"}
	if err := store.PutNotice(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	s := validator.New(validator.Config{Validators: []validator.Settings{settings(f)}, Store: store, Sealer: store, RA: issuedRA{&pki.Certificate{DER: der, NotAfter: now.Add(time.Hour)}},
		Alarms: alarm.NewBoard(time.Now), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	release := f.Hold()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for begun := time.Now(); f.Waiting() == 0 && time.Since(begun) < time.Minute; time.Sleep(time.Millisecond) {
	}
	issued := *refused
	issued.Failure, issued.Due = "", time.Now()
	if err := store.PutNotice(t.Context(), &issued); err != nil {
		t.Fatal(err)
	}
	release()
	for begun := time.Now(); store.of(settings(f).Name) > 0 && time.Since(begun) < time.Minute; time.Sleep(10 * time.Millisecond) {
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var told []string
	for _, one := range f.Told() {
		told = append(told, one.Action)
	}
	if !slices.Equal(told, []string{"failureNotification", "successNotification"}) {
		t.Errorf("told %v", told)
	}
}
