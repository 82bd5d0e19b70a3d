package sqlstore_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// witnessed is a provider whose CA keys look into the store, over a connection
// of their own, before they sign: they refuse bytes that no open intent has.
type witnessed struct {
	keystore.Provider
	path    atomic.Pointer[string] // of the database; nil: nothing is refused yet
	signed  atomic.Int64
	refused atomic.Int64
}

func (p *witnessed) Open(ctx context.Context, uri pki.KeyURI) (*keystore.Key, error) {
	k, err := p.Provider.Open(ctx, uri)
	if err != nil || k.Use != keystore.UseCA {
		return k, err
	}
	inner := *k
	inner.Signer = &witnessingSigner{k.Signer, p}
	return &inner, nil
}

type witnessingSigner struct {
	crypto.Signer
	p *witnessed
}

func (s *witnessingSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if path := s.p.path.Load(); path != nil {
		if err := intended(*path, digest); err != nil {
			s.p.refused.Add(1)
			return nil, err
		}
		s.p.signed.Add(1)
	}
	return s.Signer.Sign(rand, digest, opts)
}

// intended returns nil where a committed, open intent has bytes with the digest.
func intended(path string, digest []byte) error {
	w, err := sqlstore.NewWitness(path)
	if err != nil {
		return err
	}
	defer w.Close()
	all, err := w.OpenTBS(context.Background())
	if err != nil {
		return err
	}
	for _, tbs := range all {
		if sum := sha256.Sum256(tbs); string(sum[:]) == string(digest) {
			return nil
		}
	}
	return fmt.Errorf("asked to sign %x, which none of %d intended certificates has", digest, len(all))
}

// Every signature by a CA key is over bytes that the store had before, seen over
// a second connection at the moment of signing.
func TestIntentBeforeSignature(t *testing.T) {
	p := &witnessed{}
	s := stack.New(t, stack.Config{WrapKeys: func(inner keystore.Provider) keystore.Provider {
		p.Provider = inner
		return p
	}})
	s.AddTenant(t, "acme", "meter")
	p.path.Store(&s.Path)

	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := s.Enroll.Enroll(t.Context(), enroll.Request{
				Grant: s.Permit(t, "acme", access.Enroll), Endpoint: "acme.meter", Protocol: pki.ProtocolREST,
				Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: fmt.Sprintf("SM-%d", i)})},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	const rows = 20
	if got := runBatch(t, s, rows); got.Issued != rows {
		t.Errorf("of %d rows %d were issued, %d refused", rows, got.Issued, got.Refused)
	}
	if got := p.signed.Load(); got != 8+rows {
		t.Errorf("the witness saw %d signatures, not %d", got, 8+rows)
	}

	// The witness itself works: bytes that look right but that nobody intended.
	v, err := s.Hierarchy.Authority(t.Context(), s.Permit(t, "acme", access.ReadConfiguration), "issuing")
	if err != nil {
		t.Fatal(err)
	}
	stolen := tbsOfFirst(t, s, v.Issuers[0].ID)
	if _, err := s.Signer.Sign(t.Context(), v.Issuers[0].Key, signer.Certificate, stolen, false); err == nil || p.refused.Load() != 1 {
		t.Errorf("bytes whose intent is closed were signed: %v", err)
	}
}

func runBatch(t *testing.T, s *stack.Stack, rows int) *batch.Batch {
	t.Helper()
	var last *batch.Batch
	b, err := s.Batch.Submit(t.Context(), s.Permit(t, "acme", access.ManageBatches),
		batch.Submission{Endpoint: "meter", Format: batch.PEM}, pandotest.PEMRequests(t, "B-", rows))
	if err != nil {
		t.Fatal(err)
	}
	for last, err = range s.Batch.Watch(t.Context(), s.Permit(t, "acme", access.ReadBatches), b.ID) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// tbsOfFirst returns the to-be-signed bytes of an issuer's first certificate.
func tbsOfFirst(t *testing.T, s *stack.Stack, issuer pki.IssuerID) []byte {
	t.Helper()
	all, _, err := s.Store.ScanCertificates(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(c *pki.Certificate) bool { return c.Issuer == issuer })
	return pandotest.Parse(t, all[i].DER).RawTBSCertificate
}
