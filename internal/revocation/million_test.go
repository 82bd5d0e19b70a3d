package revocation_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// million is a store whose shard has a million entries, made as they are read, so
// that what is measured is not what a store in memory takes.
type million struct {
	*revocationtest.FakeStore
	at     time.Time
	staged *staged
}

// staged are parts whose DER is in memory that is there before and after.
type staged struct {
	parts []revocation.Part
	der   []byte
}

func (m million) StageParts(_ context.Context, _ pki.IssuerID, _ int, _ int64, parts []revocation.Part) error {
	for _, p := range parts {
		at := len(m.staged.der)
		m.staged.der = append(m.staged.der, p.DER...)
		p.DER = m.staged.der[at:]
		m.staged.parts = append(m.staged.parts, p)
	}
	return nil
}

func (m million) StagedDER(_ context.Context, _ pki.IssuerID, _ int, _ int64, span revocation.Span, limit int) ([]revocation.Part, error) {
	parts := m.staged.parts
	for len(parts) > 0 && bytes.Compare(parts[0].Last[:], span.After[:]) <= 0 {
		parts = parts[1:]
	}
	return parts[:min(limit, len(parts))], nil
}

func (m million) PutCRL(ctx context.Context, c *revocation.CRL, e *pki.Event) error {
	m.staged.parts, m.staged.der = m.staged.parts[:0], m.staged.der[:0]
	c.Parts = nil
	return m.FakeStore.PutCRL(ctx, c, e)
}

const millionEntries = 1_000_000

func (m million) Revoked(_ context.Context, issuer pki.IssuerID, shard int, _ int64, _ time.Time, span revocation.Span, limit int) ([]pki.Revocation, error) {
	first := int(binary.BigEndian.Uint32(span.After[1:]))
	page := make([]pki.Revocation, min(limit, millionEntries-first))
	for i := range page {
		page[i] = m.entry(first + i + 1)
	}
	return page, nil
}

func (m million) entry(n int) pki.Revocation {
	r := pki.Revocation{Reason: pki.Reason(n % 2), At: m.at, Serial: pki.Serial{0: 0x41, 9: byte(n * 7), 10: byte(n * 13)}}
	binary.BigEndian.PutUint32(r.Serial[1:], uint32(n))
	return r
}

// BenchmarkCRLMillion makes a full CRL of a million entries, page by page, signs and
// stores it part by part, and the same list with crypto/x509 from a slice that is there already.
// It reports how many times faster ours is, and the most that was on the heap besides
// what was there before and the CRL itself. Reading from a database is not in it.
//
//	go test ./internal/revocation -run xxx -bench CRLMillion -benchtime 3x
func BenchmarkCRLMillion(b *testing.B) {
	v := revocationtest.New(b, 1)
	store := million{v.Store, v.Clock.Now(), &staged{der: make([]byte, 0, 64<<20)}}
	s := v.Over(store)
	publish := func() int {
		v.Clock.Advance(revocation.DefaultCRLLife)
		if made, err := s.PublishDue(b.Context()); made != 1 || err != nil {
			b.Fatal(made, err)
		}
		return 0 // nothing of the list is left in memory
	}
	publish()
	var ours float64
	b.Run("pando", func(b *testing.B) { ours = measure(b, publish) })

	entries := make([]x509.RevocationListEntry, millionEntries)
	for n := range entries {
		r := store.entry(n + 1)
		entries[n] = x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(r.Serial[:]), RevocationTime: r.At, ReasonCode: int(r.Reason)}
	}
	b.Run("x509", func(b *testing.B) {
		theirs := measure(b, func() int {
			list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
				Number: big.NewInt(1), ThisUpdate: v.Clock.Now(), NextUpdate: v.Clock.Now().Add(time.Hour), RevokedCertificateEntries: entries,
			}, v.CA.Certificate, v.CA.Key)
			if err != nil {
				b.Fatal(err)
			}
			return len(list)
		})
		b.ReportMetric(theirs/ours, "x-slower")
	})
}

// measure runs f, which returns the size of what it makes, and returns the seconds of
// one run.
func measure(b *testing.B, f func() int) float64 {
	heap := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	runtime.GC()
	before, most, size := heap(), uint64(0), 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				most = max(most, heap())
			}
		}
	}()
	for b.Loop() {
		b.StopTimer()
		runtime.GC() // what the run before left is not this one's
		b.StartTimer()
		size = f()
	}
	close(stop)
	<-stopped
	b.ReportMetric((float64(most)-float64(before)-float64(size))/(1<<20), "MiB-extra")
	return b.Elapsed().Seconds() / float64(b.N)
}
