package issuance_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// failingKeys is a provider whose CA keys stop signing when told to.
type failingKeys struct {
	keystore.Provider
	fail atomic.Bool
	bang atomic.Bool // signing panics
	slow atomic.Pointer[slowTenant]

	failed atomic.Int64 // signatures, also by panic
}

// fails waits until one more signature failed than had.
func (p *failingKeys) fails(had int64) {
	for p.failed.Load() == had {
		time.Sleep(time.Millisecond)
	}
}

// slowTenant is one whose keys sign nothing until release is closed.
type slowTenant struct {
	id      pki.TenantID
	release chan struct{}
}

func (p *failingKeys) wrap(inner keystore.Provider) keystore.Provider {
	p.Provider = inner
	return p
}

func (p *failingKeys) Open(ctx context.Context, uri pki.KeyURI) (*keystore.Key, error) {
	k, err := p.Provider.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	open := *k
	open.Signer = &failingSigner{k.Signer, p, k.Tenant}
	return &open, nil
}

type failingSigner struct {
	crypto.Signer
	p      *failingKeys
	tenant pki.TenantID
}

func (s *failingSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.p.fail.Load() {
		s.p.failed.Add(1)
		return nil, errors.New("the module does not answer")
	}
	if s.p.bang.Load() {
		s.p.failed.Add(1)
		panic("the driver is broken")
	}
	if slow := s.p.slow.Load(); slow != nil && slow.id == s.tenant {
		<-slow.release
	}
	return s.Signer.Sign(rand, digest, opts)
}
