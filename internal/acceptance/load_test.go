//go:build system

package acceptance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/simulate"
)

// A load is a plant that hands in one batch after another, and devices that enrol
// one by one at the same time. All of them ask again until they are answered, with
// the same request under the same idempotency key.
type load struct {
	client *client.Client
	rows   int // of a batch
	acks   *acknowledgements
	enough chan struct{} // closed: no new work

	batches int64 // owned by the plant until wait
	mu      sync.Mutex
	singles []single // answered
	group   *errgroup.Group
	failed  context.Context // done when anything failed
}

// A single is an enrolment with the answer that it got.
type single struct {
	request client.Enrollment
	key     string
	serial  string
}

// enrollers is how many devices enrol at the same time.
const enrollers = 4

// startLoad starts a load of batches of so many rows.
func startLoad(t *testing.T, h *house, rows int) *load {
	t.Helper()
	l := &load{client: h.as(t, ""), rows: rows, acks: newAcknowledgements(t), enough: make(chan struct{})}
	l.group, l.failed = errgroup.WithContext(t.Context())
	l.group.Go(func() error { return l.plant(l.failed) })
	for n := range enrollers {
		l.group.Go(func() error { return l.device(l.failed, n) })
	}
	return l
}

// wait lets what was begun come to its end and ends the load.
func (l *load) wait() error {
	close(l.enough)
	return l.group.Wait()
}

func (l *load) over() bool {
	select {
	case <-l.enough:
		return true
	default:
		return false
	}
}

// plant hands in batches and fetches their results while they come.
func (l *load) plant(ctx context.Context) error {
	for n := 0; !l.over(); n++ {
		var file bytes.Buffer
		err := simulate.WriteCSRs(ctx, &file, simulate.CSRs{
			Devices: simulate.Devices{Prefix: fmt.Sprintf("LOAD%d-", n), Count: l.rows}, Format: client.PEM,
		})
		if err != nil {
			return err
		}
		c := &collector{client: l.client, requests: file.Bytes(), acks: l.acks}
		err = insist(ctx, func() error {
			b, err := l.client.Submit(ctx, client.Submission{
				Endpoint: "meter", Format: client.PEM, IdempotencyKey: fmt.Sprintf("load-%d", n),
			}, bytes.NewReader(file.Bytes()))
			if err == nil {
				c.batch = b.ID
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("submitting batch %d: %w", n, err)
		}
		if err := c.follow(ctx, int64(l.rows)); err != nil {
			return err
		}
		l.batches++
	}
	return nil
}

// device enrols one device after the other.
func (l *load) device(ctx context.Context, lane int) error {
	for n := 0; !l.over(); n++ {
		name := fmt.Sprintf("single-%d-%d", lane, n)
		csr, err := request(name)
		if err != nil {
			return err
		}
		s := single{key: name, request: client.Enrollment{Endpoint: "device", CSR: csr}}
		var got *client.Enrolled
		err = insist(ctx, func() (err error) {
			got, err = l.client.Enroll(ctx, s.request, s.key)
			return err
		})
		if err != nil {
			return fmt.Errorf("enrolling %s: %w", name, err)
		}
		if err := l.answered(&s, got); err != nil {
			return err
		}
		time.Sleep(pause / 2)
	}
	return nil
}

// request makes a key and returns a request for it, in base64.
func request(commonName string, dns ...string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: commonName}, DNSNames: dns,
	}, key)
	return base64.StdEncoding.EncodeToString(der), err
}

// answered notes an answer.
func (l *load) answered(s *single, got *client.Enrolled) error {
	der, err := decode(got.Certificate, "CERTIFICATE")
	if err != nil {
		return err
	}
	s.serial = got.Serial
	l.mu.Lock()
	l.singles = append(l.singles, *s)
	l.mu.Unlock()
	return l.acks.add(got.Issuer, got.Serial, der)
}

// end lets what was begun come to its end, sends every single request again, stops the
// server, and returns what pando check says after that: all that holds, and as many new
// certificates as the load has led to.
func (l *load) end(t *testing.T, h *house, before *check.Report) *check.Report {
	t.Helper()
	if err := l.wait(); err != nil {
		t.Fatal(err)
	}
	l.repeat(t)
	h.stop(t)
	after := h.check(t, l.acks.path)
	if got, want := after.Certificates-before.Certificates, l.certificates(); got != want {
		t.Errorf("the store has %d new certificates, want %d", got, want)
	}
	return after
}

// repeat sends every single request again: the answer must be the same.
func (l *load) repeat(t *testing.T) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(enrollers)
	for _, s := range l.singles {
		g.Go(func() error {
			got, err := l.client.Enroll(ctx, s.request, s.key)
			if err != nil {
				return fmt.Errorf("repeating %s: %w", s.key, err)
			}
			if !got.Repeated || got.Serial != s.serial {
				t.Errorf("%s got certificate %s at first and %s (repeated: %t) when it came again", s.key, s.serial, got.Serial, got.Repeated)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// certificates is how many the load has led to.
func (l *load) certificates() int64 { return l.batches*int64(l.rows) + int64(len(l.singles)) }
