package issuance_test

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// meter returns a request for a new meter's certificate.
func meter(t testing.TB, s *stack.Stack, device string) enroll.Request {
	t.Helper()
	return enroll.Request{
		Grant: s.Permit(t, "acme", access.Enroll), Endpoint: "acme.meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device})},
	}
}

func newStack(t testing.TB, cfg stack.Config) *stack.Stack {
	s := stack.New(t, cfg)
	s.AddTenant(t, "acme", "meter", "device")
	return s
}

// Two concurrent requests with one idempotency key get one certificate.
func TestOneKeyOneCertificate(t *testing.T) {
	s := newStack(t, stack.Config{})
	pairs := 10_000
	if testing.Short() {
		pairs = 200
	}
	const atOnce = 32
	request := meter(t, s, "SM-1") // the profile would refuse its key a second time
	request.Endpoint = "acme.device"
	request.CSR = pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "gateway"})
	requests := make(chan int)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := range requests {
				r := request
				r.CSR = pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "gateway"})
				r.Idempotency = fmt.Sprintf("request %d", i)
				twice(t, s, r)
			}
		})
	}
	for i := range pairs {
		requests <- i
	}
	close(requests)
	wg.Wait()
	all := count(t, s)
	if all != pairs {
		t.Errorf("%d certificates for %d pairs of requests", all, pairs)
	}
}

func twice(t *testing.T, s *stack.Stack, r enroll.Request) {
	var got [2]*pki.Enrollment
	var errs [2]error
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i], errs[i] = s.Enroll.Enroll(context.Background(), r) })
	}
	wg.Wait()
	switch {
	case errs[0] != nil || errs[1] != nil:
		t.Errorf("%s: %v, %v", r.Idempotency, errs[0], errs[1])
	case !bytes.Equal(got[0].Certificate.DER, got[1].Certificate.DER):
		t.Errorf("%s: two certificates", r.Idempotency)
	case got[0].Repeated == got[1].Repeated:
		t.Errorf("%s: both say repeated=%v", r.Idempotency, got[0].Repeated)
	}
}

func count(t *testing.T, s *stack.Stack) int {
	t.Helper()
	n, after := 0, int64(0)
	for {
		page, last, err := s.Store.ScanCertificates(context.Background(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return n
		}
		for _, c := range page {
			if c.Profile.Name != "issuing-ca" {
				n++
			}
		}
		after = last
	}
}

func TestIdempotencyKeyOfAnotherRequest(t *testing.T) {
	s := newStack(t, stack.Config{})
	first := meter(t, s, "SM-1")
	first.Idempotency = "key"
	if _, err := s.Enroll.Enroll(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	other := meter(t, s, "SM-2")
	other.Idempotency = "key"
	if _, err := s.Enroll.Enroll(t.Context(), other); pki.KindOf(err) != pki.Conflict {
		t.Errorf("another request under the key: %v", err)
	}
}

func TestKeyReuse(t *testing.T) {
	s := newStack(t, stack.Config{})
	first := meter(t, s, "SM-1")
	if _, err := s.Enroll.Enroll(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for _, device := range []pki.DeviceID{"SM-1", "SM-2"} {
		again := first
		again.Device = device
		if _, err := s.Enroll.Enroll(t.Context(), again); pki.KindOf(err) != pki.DuplicateKey {
			t.Errorf("the key again for %s: %v", device, err)
		}
	}
}

// flaky fails commits as a store does whose disk or connection fails: before the
// transaction, or after it, so that nobody knows.
type flaky struct {
	issuance.Store
	mu   sync.Mutex
	fail func(records, intents []*issuance.Intent) (before, after bool)
}

var errDisk = errors.New("the disk is gone")

func (f *flaky) Commit(ctx context.Context, now time.Time, records, intents []*issuance.Intent) error {
	f.mu.Lock()
	before, after := f.fail(records, intents)
	f.mu.Unlock()
	if before {
		return errDisk
	}
	err := f.Store.Commit(ctx, now, records, intents)
	if after {
		return errDisk
	}
	return err
}

// A commit that fails, or of which nobody knows, loses nothing and doubles
// nothing: the request comes again under its key and gets its one certificate.
func TestUnknownOutcome(t *testing.T) {
	for _, c := range []struct {
		name          string
		records       bool // else intents
		before, after bool
		refused       bool
	}{
		{"intent not stored", false, true, false, true},
		{"intent stored, nobody knows", false, false, true, true},
		{"record not stored", true, true, false, false},
		{"record stored, nobody knows", true, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &flaky{fail: func(_, _ []*issuance.Intent) (bool, bool) { return false, false }}
			s := newStack(t, stack.Config{WrapStore: func(st issuance.Store) issuance.Store { f.Store = st; return f }})
			once := false
			f.mu.Lock()
			f.fail = func(records, intents []*issuance.Intent) (bool, bool) {
				concerned := len(intents) > 0
				if c.records {
					concerned = len(records) > 0
				}
				if once || !concerned {
					return false, false
				}
				once = true
				return c.before, c.after
			}
			f.mu.Unlock()
			r := meter(t, s, "SM-1")
			r.Idempotency = "key"
			got, err := s.Enroll.Enroll(t.Context(), r)
			if (err != nil) != c.refused {
				t.Fatalf("refused: %v", err)
			}
			if c.refused {
				if pki.KindOf(err) != pki.Unavailable {
					t.Errorf("kind %v: %v", pki.KindOf(err), err)
				}
				if got, err = s.Enroll.Enroll(t.Context(), r); err != nil {
					t.Fatalf("again: %v", err)
				}
			}
			if n := count(t, s); n != 1 {
				t.Errorf("%d certificates", n)
			}
			stored, err := s.Store.Certificate(t.Context(), "acme", got.Certificate.Issuer, got.Certificate.Serial)
			if err != nil || !bytes.Equal(stored.DER, got.Certificate.DER) {
				t.Errorf("the store has another certificate: %v", err)
			}
		})
	}
}

// A second process under the same name fences the first.
func TestFenced(t *testing.T) {
	s := newStack(t, stack.Config{})
	r := meter(t, s, "SM-1")
	r.Idempotency = "key"
	if _, err := s.Store.Enter(t.Context(), "test", time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.Issuance.Ready(t.Context()); !errors.Is(err, issuance.ErrFenced) {
		t.Errorf("a fenced node is ready: %v", err)
	}
}
