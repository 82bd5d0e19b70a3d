package keystore

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A SealedKey is a private key as the store keeps it.
type SealedKey struct {
	ID      string // random, part of the URI
	Tenant  pki.TenantID
	Kind    pki.KeyKind
	Use     Use
	KEK     string // id of the key-encryption key, so that a wrong one is told from tampering
	SPKI    []byte // DER SubjectPublicKeyInfo
	Sealed  []byte // nonce and AES-256-GCM of the PKCS #8
	Created time.Time
}

// Store keeps sealed keys. They are never changed.
type Store interface {
	// PutKey stores a key durably; an id that is taken is Conflict.
	PutKey(ctx context.Context, k *SealedKey) error
	// Key returns the key with the given id, or NotFound. It is without a tenant
	// because the id comes from an issuer's row, and the tenant is sealed with
	// the key.
	Key(ctx context.Context, id string) (*SealedKey, error)
	// Sealings returns each pair of a tenant and a key-encryption key that a key
	// of the tenant is sealed under.
	Sealings(ctx context.Context) ([]Sealing, error)
}

// A Sealing says that keys of a tenant are sealed under a key-encryption key.
type Sealing struct {
	Tenant pki.TenantID
	KEK    string // its id
}
