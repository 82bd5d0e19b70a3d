// Package soft keeps private keys sealed in the store: PKCS #8 (RFC 5958) under
// AES-256-GCM with the deployment's key-encryption key, or with the tenant's
// own where it has one.
//
// The keys are open in this process's memory once they are used. Who must not
// have that takes a hardware module.
package soft

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Scheme is the scheme of this provider's URIs, "software:{id}".
const Scheme = "software"

// Soft is the provider of software keys.
type Soft struct {
	store      keystore.Store
	deployment *KEK
	tenants    map[pki.TenantID]*KEK
	now        pki.Clock
}

// New returns the provider. tenants holds the key-encryption key of each tenant
// that has its own; the keys of all others are sealed under deployment.
func New(store keystore.Store, deployment *KEK, tenants map[pki.TenantID]*KEK, now pki.Clock) *Soft {
	return &Soft{store: store, deployment: deployment, tenants: tenants, now: now}
}

// kek returns the key-encryption key of a tenant.
func (s *Soft) kek(tenant pki.TenantID) *KEK {
	if k, ok := s.tenants[tenant]; ok {
		return k
	}
	return s.deployment
}

// Check reports as Unavailable where a key in the store is sealed under another
// key-encryption key than the one given for its tenant: a server that started so
// would find out at its first signature.
func (s *Soft) Check(ctx context.Context) error {
	sealings, err := s.store.Sealings(ctx)
	if err != nil {
		return err
	}
	for _, sealing := range sealings {
		if have := s.kek(sealing.Tenant).id; have != sealing.KEK {
			return pki.Errorf(pki.Unavailable,
				"keys of %s are sealed under key-encryption key %s, the one given is %s: give the file or environment variable that holds the right one",
				nameOf(sealing.Tenant), sealing.KEK, have)
		}
	}
	return nil
}

func nameOf(tenant pki.TenantID) string {
	if tenant == pki.Platform {
		return "the platform"
	}
	return "the tenant " + string(tenant)
}

// Generate makes a key, seals it and stores it. An unknown kind is Malformed.
func (s *Soft) Generate(ctx context.Context, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error) {
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		return "", err
	}
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	pkcs8, err := keystore.MarshalPrivateKey(key)
	if err != nil {
		return "", err
	}
	defer clear(pkcs8)
	kek := s.kek(tenant)
	sealed := &keystore.SealedKey{
		ID: pki.NewOpaqueID(), Tenant: tenant, Kind: kind, Use: use,
		KEK: kek.id, SPKI: public.SPKI(), Created: s.now().UTC(),
	}
	sealed.Sealed = kek.aead.Seal(nil, nil, pkcs8, additionalData(sealed))
	if err := s.store.PutKey(ctx, sealed); err != nil {
		return "", fmt.Errorf("store sealed key: %w", err)
	}
	return pki.KeyURI(Scheme + ":" + sealed.ID), nil
}

// Open unseals the key that uri names. A key sealed under another key-encryption
// key than the one given is Unavailable with both ids; one that was changed
// after sealing, or put under another id, tenant, use or kind, is Internal.
func (s *Soft) Open(ctx context.Context, uri pki.KeyURI) (*keystore.Key, error) {
	id, ok := strings.CutPrefix(string(uri), Scheme+":")
	if !ok || id == "" {
		return nil, pki.Errorf(pki.Malformed, "a software key's URI is %s:ID", Scheme)
	}
	sealed, err := s.store.Key(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", uri, err)
	}
	if sealed.ID != id {
		return nil, fmt.Errorf("key %s: the store answered with key %s", uri, sealed.ID)
	}
	signer, err := s.unseal(sealed)
	if err != nil {
		return nil, err
	}
	return &keystore.Key{URI: uri, Tenant: sealed.Tenant, Use: sealed.Use, Signer: signer}, nil
}

func (s *Soft) unseal(sealed *keystore.SealedKey) (crypto.Signer, error) {
	kek := s.kek(sealed.Tenant)
	if kek.id != sealed.KEK {
		return nil, pki.Errorf(pki.Unavailable,
			"key %s:%s is sealed under key-encryption key %s, the one given is %s: give the file or environment variable that holds the right one",
			Scheme, sealed.ID, sealed.KEK, kek.id)
	}
	pkcs8, err := kek.aead.Open(nil, nil, sealed.Sealed, additionalData(sealed))
	if err != nil {
		return nil, fmt.Errorf("key %s:%s does not open under its key-encryption key %s: its row was changed after it was sealed", Scheme, sealed.ID, kek.id)
	}
	defer clear(pkcs8)
	signer, err := keystore.ParsePrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("key %s:%s: %w", Scheme, sealed.ID, err)
	}
	public, err := tbs.NewPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("key %s:%s: %w", Scheme, sealed.ID, err)
	}
	if !bytes.Equal(public.SPKI(), sealed.SPKI) {
		return nil, fmt.Errorf("key %s:%s: the stored public key is not this key's: its row was changed", Scheme, sealed.ID)
	}
	return signer, nil
}

// additionalData ties a sealed key to its row: a label, then id, tenant, use and
// kind, each after its length in two octets, so that no two rows have the same.
func additionalData(k *keystore.SealedKey) []byte {
	b := []byte("pando sealed key v1\x00")
	for _, field := range []string{k.ID, string(k.Tenant), string(k.Use), string(k.Kind)} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(field)))
		b = append(b, field...)
	}
	return b
}
