package signer_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// provider makes keys in memory, counts how often they are opened, and can make
// their signatures wrong.
type provider struct {
	mu       sync.Mutex
	keys     map[pki.KeyURI]keystore.Key // guarded by mu
	hardware bool
	wrong    atomic.Bool
	opens    atomic.Int32
	opening  func() error // called where not nil before a key is opened
}

func newProvider() *provider { return &provider{keys: make(map[pki.KeyURI]keystore.Key)} }

func (p *provider) signer() *signer.Signer {
	return signer.New(keystore.New(map[string]keystore.Provider{"test": p}))
}

func (p *provider) Generate(_ context.Context, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error) {
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		return "", err
	}
	uri := pki.KeyURI("test:" + pki.NewOpaqueID())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[uri] = keystore.Key{URI: uri, Tenant: tenant, Use: use, Hardware: p.hardware, Signer: faulty{key, p}}
	return uri, nil
}

func (p *provider) Open(_ context.Context, uri pki.KeyURI) (*keystore.Key, error) {
	p.opens.Add(1)
	if p.opening != nil {
		if err := p.opening(); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key, ok := p.keys[uri]
	if !ok {
		return nil, pki.Errorf(pki.NotFound, "no such key")
	}
	return &key, nil
}

// faulty signs another digest where its provider is to be wrong.
type faulty struct {
	crypto.Signer
	p *provider
}

func (f faulty) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if f.p.wrong.Load() {
		digest = append([]byte(nil), digest...)
		digest[0] ^= 1
	}
	return f.Signer.Sign(random, digest, opts)
}

// newKey makes a key without the proof that Signer.Generate makes.
func newKey(t *testing.T, p *provider, s *signer.Signer, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, tbs.PublicKey, crypto.Signer) {
	t.Helper()
	uri, err := p.Generate(t.Context(), "acme", kind, use)
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := s.Public(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	return uri, public, p.keys[uri].Signer
}

func TestGenerate(t *testing.T) {
	p := newProvider()
	s := p.signer()
	uri, err := s.Generate(t.Context(), "test", "acme", pki.P384, keystore.UseTLS)
	if err != nil {
		t.Fatal(err)
	}
	public, hardware, err := s.Public(t.Context(), uri)
	if err != nil || hardware || public.Kind() != pki.P384 {
		t.Errorf("public key %v, hardware %v, error %v", public, hardware, err)
	}
	tls, err := s.TLS(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(tls.Public())
	if err != nil || string(spki) != string(public.SPKI()) {
		t.Errorf("TLS and Public give different keys; error %v", err)
	}
	if n := p.opens.Load(); n != 1 {
		t.Errorf("opened %d times, want once", n)
	}

	p.wrong.Store(true)
	if uri, err := s.Generate(t.Context(), "test", "acme", pki.P256, keystore.UseCA); err == nil {
		t.Errorf("key %s that signs wrongly was returned", uri)
	}
	if _, err := s.Generate(t.Context(), "none", "acme", pki.P256, keystore.UseCA); pki.KindOf(err) != pki.Malformed {
		t.Errorf("a scheme that is not served: error %v", err)
	}
}

func TestTLSRefusesOtherUses(t *testing.T) {
	p := newProvider()
	s := p.signer()
	for _, use := range []keystore.Use{keystore.UseCA, keystore.UseOCSP} {
		uri, _, _ := newKey(t, p, s, pki.P256, use)
		if _, err := s.TLS(t.Context(), uri); pki.KindOf(err) != pki.Forbidden {
			t.Errorf("use %s: error %v, want forbidden", use, err)
		}
	}
}

func TestOpenedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider()
		s := p.signer()
		uri, err := p.Generate(t.Context(), "acme", pki.P256, keystore.UseCA)
		if err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		p.opening = func() error { <-gate; return nil }
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := s.Public(first, uri); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that left: error %v", err)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				if _, _, err := s.Public(t.Context(), uri); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(gate)
		wg.Wait()
		if _, _, err := s.Public(first, uri); err != nil {
			t.Errorf("an open key under a context that is over: error %v", err)
		}
		if n := p.opens.Load(); n != 1 {
			t.Errorf("opened %d times, want once", n)
		}
	})
}

func TestFailedOpeningIsNotKept(t *testing.T) {
	p := newProvider()
	s := p.signer()
	uri, err := p.Generate(t.Context(), "acme", pki.P256, keystore.UseCA)
	if err != nil {
		t.Fatal(err)
	}
	p.opening = func() error { return pki.Errorf(pki.Unavailable, "the module is away") }
	if _, _, err := s.Public(t.Context(), uri); pki.KindOf(err) != pki.Unavailable || !strings.Contains(err.Error(), string(uri)) {
		t.Errorf("error %v, want unavailable with the key's name", err)
	}
	p.opening = nil
	if _, _, err := s.Public(t.Context(), uri); err != nil {
		t.Error(err)
	}
}
