package revocation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// An identity is an issuer with what status needs of its certificate. Neither
// ever changes.
type identity struct {
	issuer      *pki.Issuer
	certificate *tbs.Parsed
	ids         map[crypto.Hash]issuerHashes
}

// issuerHashes are the two hashes by which a CertID names an issuer (RFC 6960,
// 4.1.1): of its name, and of its key's bits.
type issuerHashes struct{ name, key []byte }

// online reports whether pando itself signs the issuer's status.
func (i *identity) online() bool { return i.issuer.Key != pki.OfflineKey }

// owns reports whether the CertID is of this issuer.
func (i *identity) owns(c *tbs.CertID) bool {
	h, known := i.ids[c.Hash]
	return known && bytes.Equal(h.name, c.NameHash) && bytes.Equal(h.key, c.KeyHash)
}

func newIdentity(issuer *pki.Issuer) (*identity, error) {
	certificate, err := tbs.ParseCertificate(issuer.Certificate)
	if err != nil {
		return nil, err
	}
	var bits []byte
	spki := cryptobyte.String(certificate.Key.SPKI())
	if !spki.ReadASN1(&spki, asn1.SEQUENCE) || !spki.SkipASN1(asn1.SEQUENCE) || !spki.ReadASN1BitStringAsBytes(&bits) {
		return nil, pki.Errorf(pki.BadKey, "the issuer's public key is not a SubjectPublicKeyInfo")
	}
	// SHA-1 is how clients name issuers; nothing is signed with it.
	name1, key1 := sha1.Sum(certificate.Subject), sha1.Sum(bits)
	name256, key256 := sha256.Sum256(certificate.Subject), sha256.Sum256(bits)
	return &identity{issuer: issuer, certificate: certificate, ids: map[crypto.Hash]issuerHashes{
		crypto.SHA1:   {name1[:], key1[:]},
		crypto.SHA256: {name256[:], key256[:]},
	}}, nil
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
