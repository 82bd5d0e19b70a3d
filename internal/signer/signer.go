// Package signer says what may sign what: each key signs only structures of its
// own use, handed over whole, never a bare hash. It is the only package to open
// the server's keys.
//
// It does not decide whether a certificate may be issued, and it does not know
// what has been recorded: that is for those who call it.
package signer

import (
	"context"
	"crypto"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Signer signs with the keys of a keystore. Each key is opened once and kept.
// It is safe for concurrent use, and no lock is held while a key signs.
type Signer struct {
	keys  *keystore.Keystore
	times map[pki.KeyKind]*stat.Histogram // not changed after New

	mu     sync.Mutex
	opened map[pki.KeyURI]*opening // guarded by mu; one that failed is not kept
}

// An opening is a key that is being opened or has been.
type opening struct {
	done chan struct{} // closed once key and err are set
	key  *openKey
	err  error
}

// openKey is a key that is ready to sign.
type openKey struct {
	*keystore.Key
	public tbs.PublicKey
	time   *stat.Histogram
	proven atomic.Bool // the last signature that was checked verified, and one was
	table  table
}

// OtherKind stands in Times for keys of a kind that is not generated here.
const OtherKind pki.KeyKind = "other"

// New returns a Signer over keys.
func New(keys *keystore.Keystore) *Signer {
	times := make(map[pki.KeyKind]*stat.Histogram)
	for _, kind := range pki.KeyKinds() {
		times[kind] = stat.NewHistogram(stat.Seconds()...)
	}
	times[OtherKind] = stat.NewHistogram(stat.Seconds()...)
	return &Signer{keys: keys, times: times, opened: make(map[pki.KeyURI]*opening)}
}

// Times returns how many seconds the signatures by keys of each kind took.
func (s *Signer) Times() map[pki.KeyKind]*stat.Histogram { return s.times }

// Generate makes a key and returns its URI once a signature by it verified.
func (s *Signer) Generate(ctx context.Context, scheme string, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error) {
	uri, err := s.keys.Generate(ctx, scheme, tenant, kind, use)
	if err != nil {
		return "", fmt.Errorf("generate key: %w", err)
	}
	key, err := s.open(ctx, uri)
	if err != nil {
		return "", err
	}
	if got := key.public.Kind(); got != kind || key.Use != use || key.Tenant != tenant {
		return "", fmt.Errorf("generate key %s: asked for %s for %s of %q, got %s for %s of %q", uri, kind, use, tenant, got, key.Use, key.Tenant)
	}
	// The proof is a request with an empty subject: nothing that a key of any
	// use must not sign.
	const emptyName = "\x30\x00"
	if _, err := s.Sign(ctx, uri, Request, tbs.AppendCSR(nil, []byte(emptyName), key.public, nil), true); err != nil {
		return "", err
	}
	return uri, nil
}

// Public returns the public key of uri, and whether a hardware module holds the
// private one.
func (s *Signer) Public(ctx context.Context, uri pki.KeyURI) (key tbs.PublicKey, hardware bool, err error) {
	k, err := s.open(ctx, uri)
	if err != nil {
		return nil, false, err
	}
	return k.public, k.Hardware, nil
}

// TLS returns the crypto.Signer of a key with use TLS, for crypto/tls. Another
// key is Forbidden.
func (s *Signer) TLS(ctx context.Context, uri pki.KeyURI) (crypto.Signer, error) {
	return s.handOut(ctx, uri, keystore.UseTLS)
}

// SCEPSigner returns the crypto.Signer of a key that signs answers of SCEP. Another key is
// Forbidden.
func (s *Signer) SCEPSigner(ctx context.Context, uri pki.KeyURI) (crypto.Signer, error) {
	return s.handOut(ctx, uri, keystore.UseSCEPSigner)
}

// SCEPRecipient returns the crypto.Decrypter of a key that requests of SCEP are encrypted
// to. Another key is Forbidden.
func (s *Signer) SCEPRecipient(ctx context.Context, uri pki.KeyURI) (crypto.Decrypter, error) {
	key, err := s.handOut(ctx, uri, keystore.UseSCEPRecipient)
	if err != nil {
		return nil, err
	}
	decrypter, ok := key.(crypto.Decrypter)
	if !ok {
		return nil, fmt.Errorf("key %s does not decrypt", uri)
	}
	return decrypter, nil
}

// handOut returns a key of the given use to whoever's protocol signs more than this
// package knows. No key of an authority is ever handed out.
func (s *Signer) handOut(ctx context.Context, uri pki.KeyURI, use keystore.Use) (crypto.Signer, error) {
	k, err := s.open(ctx, uri)
	if err != nil {
		return nil, err
	}
	if k.Use != use {
		return nil, pki.Errorf(pki.Forbidden, "key %s is for use %s, not for %s", uri, k.Use, use)
	}
	return k.Signer, nil
}

// open returns the key of uri, which it opens where it has not been. Those who
// come while it is being opened wait for that one opening, each as long as its
// own context holds; a key that is open is returned whatever the context says,
// so that a shutdown can finish what it has begun.
func (s *Signer) open(ctx context.Context, uri pki.KeyURI) (*openKey, error) {
	s.mu.Lock()
	o, ok := s.opened[uri]
	if !ok {
		o = &opening{done: make(chan struct{})}
		s.opened[uri] = o
		// The first to come may leave; the others still want the key.
		go s.run(context.WithoutCancel(ctx), uri, o)
	}
	s.mu.Unlock()
	select {
	case <-o.done:
		return o.key, o.err
	default:
	}
	select {
	case <-o.done:
		return o.key, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("open key %s: %w", uri, ctx.Err())
	}
}

// run opens the key of uri for all who wait for o.
func (s *Signer) run(ctx context.Context, uri pki.KeyURI, o *opening) {
	defer close(o.done)
	if o.key, o.err = openFrom(ctx, s.keys, uri); o.err == nil {
		if o.key.time = s.times[o.key.public.Kind()]; o.key.time == nil {
			o.key.time = s.times[OtherKind]
		}
	} else {
		s.mu.Lock()
		delete(s.opened, uri)
		s.mu.Unlock()
	}
}

func openFrom(ctx context.Context, keys *keystore.Keystore, uri pki.KeyURI) (*openKey, error) {
	key, err := keys.Open(ctx, uri)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", uri, err)
	}
	public, err := tbs.NewPublicKey(key.Signer.Public())
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", uri, err)
	}
	return &openKey{Key: key, public: public}, nil
}
