package revocation

import (
	"bytes"
	"context"
	"crypto"
	"sync"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// An identity is an issuer with what status needs of its certificate. Neither
// ever changes.
type identity struct {
	issuer      *pki.Issuer
	certificate *tbs.Parsed
	sha1        issuerHashes
	sha256      issuerHashes
}

// issuerHashes are the two hashes by which a CertID names an issuer (RFC 6960,
// 4.1.1): of its name, and of its key's bits.
type issuerHashes struct{ name, key []byte }

// online reports whether pando itself signs the issuer's status.
func (i *identity) online() bool { return i.issuer.Key != pki.OfflineKey }

// owns reports whether the CertID is of this issuer.
func (i *identity) owns(c *tbs.CertID) bool {
	h := i.sha256
	if c.Hash == crypto.SHA1 {
		h = i.sha1
	}
	return bytes.Equal(h.name, c.NameHash) && bytes.Equal(h.key, c.KeyHash)
}

func newIdentity(issuer *pki.Issuer) (*identity, error) {
	certificate, err := tbs.ParseCertificate(issuer.Certificate)
	if err != nil {
		return nil, err
	}
	id := &identity{issuer: issuer, certificate: certificate}
	// SHA-1 is how clients name issuers; nothing is signed with it.
	id.sha1.name, id.sha1.key = tbs.IssuerHashes(crypto.SHA1, certificate.Subject, certificate.Key)
	id.sha256.name, id.sha256.key = tbs.IssuerHashes(crypto.SHA256, certificate.Subject, certificate.Key)
	return id, nil
}

// identities finds and keeps identities. Only issuers that exist are kept, so
// that strangers' ids take no memory.
type identities struct {
	issuers Issuers
	mu      sync.RWMutex
	known   map[pki.IssuerID]*identity // guarded by mu
}

func newIdentities(issuers Issuers) *identities {
	return &identities{issuers: issuers, known: make(map[pki.IssuerID]*identity)}
}

// get returns the identity of an issuer that has a certificate; NotFound where
// there is none.
func (s *identities) get(ctx context.Context, id pki.IssuerID) (*identity, error) {
	s.mu.RLock()
	found := s.known[id]
	s.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	issuer, err := s.issuers.Issuer(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.of(issuer)
}

// of returns the identity of an issuer as it came from the store.
func (s *identities) of(issuer *pki.Issuer) (*identity, error) {
	s.mu.RLock()
	found := s.known[issuer.ID]
	s.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	if len(issuer.Certificate) == 0 {
		return nil, pki.Errorf(pki.NotFound, "the issuer has no certificate yet")
	}
	found, err := newIdentity(issuer)
	if err != nil {
		return nil, pki.Because(pki.Internal, err, "certificate of issuer %s", issuer.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[issuer.ID] = found
	return found, nil
}
