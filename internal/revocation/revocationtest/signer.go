package revocationtest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// A FakeSigner signs with keys in memory and counts what it signed.
type FakeSigner struct {
	mu     sync.Mutex
	keys   map[pki.KeyURI]crypto.Signer
	counts [signer.Request + 1]int
	err    error
}

// Fail makes every later signature fail with err; nil ends that.
func (f *FakeSigner) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Count returns how many structures of a purpose were to be signed.
func (f *FakeSigner) Count(p signer.Purpose) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[p]
}

// SetKey puts a key in the place of what a URI names.
func (f *FakeSigner) SetKey(uri pki.KeyURI, key crypto.Signer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[uri] = key
}

// Public implements revocation.Signer.
func (f *FakeSigner) Public(_ context.Context, uri pki.KeyURI) (tbs.PublicKey, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := f.keys[uri]
	if key == nil {
		return nil, false, errors.New("no key " + string(uri))
	}
	public, err := tbs.NewPublicKey(key.Public())
	return public, false, err
}

// Sign implements revocation.Signer.
func (f *FakeSigner) Sign(_ context.Context, uri pki.KeyURI, p signer.Purpose, message []byte, _ bool) ([]byte, error) {
	digest := sha256.Sum256(message)
	return f.sign(uri, p, digest[:])
}

// SignStream implements revocation.Signer. It calls write twice, as a signer may.
func (f *FakeSigner) SignStream(_ context.Context, uri pki.KeyURI, p signer.Purpose, write func(io.Writer) error) ([]byte, error) {
	if err := write(io.Discard); err != nil {
		return nil, err
	}
	hash := sha256.New()
	if err := write(hash); err != nil {
		return nil, err
	}
	return f.sign(uri, p, hash.Sum(nil))
}

// sign signs a digest: all keys are P-256, whose algorithm has SHA-256.
func (f *FakeSigner) sign(uri pki.KeyURI, p signer.Purpose, digest []byte) ([]byte, error) {
	f.mu.Lock()
	f.counts[p]++
	key, err := f.keys[uri], f.err
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, errors.New("no key " + string(uri))
	}
	return key.Sign(rand.Reader, digest, crypto.SHA256)
}

// FakeResponders makes a new responder of 30 days when the one before it has
// reached half of its life, or has not begun it.
type FakeResponders struct {
	// Change is applied to every certificate before it is signed; nil changes
	// nothing. It is set before the responders are asked.
	Change func(*x509.Certificate)

	va      *VA
	mu      sync.Mutex
	calls   int
	err     error
	current []byte
	key     pki.KeyURI
	start   time.Time
}

// ResponderLife is the life of a responder's certificate.
const ResponderLife = 30 * 24 * time.Hour

// Fail makes every later call fail with err; nil ends that.
func (f *FakeResponders) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Forget has the next call make a new responder.
func (f *FakeResponders) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current = nil
}

// Calls returns how often a responder was asked for.
func (f *FakeResponders) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Responder implements revocation.Responders.
func (f *FakeResponders) Responder(context.Context, pki.IssuerID) ([]byte, pki.KeyURI, time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return nil, "", time.Time{}, f.err
	}
	if now := f.va.Clock.Now(); f.current == nil || now.After(f.start.Add(ResponderLife/2)) || now.Before(f.start) {
		der, key, err := f.va.newResponder(ResponderLife, f.Change)
		if err != nil {
			return nil, "", time.Time{}, err
		}
		f.current, f.key, f.start = der, pki.KeyURI("fake:ocsp-"+now.String()), now
		f.va.Signer.SetKey(f.key, key)
	}
	return f.current, f.key, f.start.Add(ResponderLife), nil
}
