// Package keystore reaches private keys by URI.
package keystore

import (
	"context"
	"crypto"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Use is what a key is for. CA, OCSP, TLS keys are all different keys.
type Use string

const (
	UseCA   Use = "ca"
	UseOCSP Use = "ocsp"
	UseTLS  Use = "tls"
)

// A SealedKey is a private key as the store keeps it.
type SealedKey struct {
	ID      string // random, part of the URI
	Tenant  pki.TenantID
	Kind    pki.KeyKind
	Use     Use
	KEK     string // id (short hash) of the key-encryption key, for a clear error with a wrong one
	SPKI    []byte
	Sealed  []byte // nonce and AES-256-GCM of the PKCS#8
	Created time.Time
}

// Store keeps sealed keys.
type Store interface {
	PutKey(ctx context.Context, k *SealedKey) error
	// Key returns the key with the given id, or NotFound.
	Key(ctx context.Context, id string) (*SealedKey, error)
}

// A Key is an opened private key.
type Key struct {
	URI      pki.KeyURI
	Tenant   pki.TenantID
	Use      Use
	Hardware bool
	Signer   crypto.Signer
}

// Provider serves one URI scheme. keystore/soft is one; keystore.Keystore dispatches by scheme.
type Provider interface {
	Generate(ctx context.Context, tenant pki.TenantID, kind pki.KeyKind, use Use) (pki.KeyURI, error)
	Open(ctx context.Context, uri pki.KeyURI) (*Key, error)
}

type Keystore struct{ providers map[string]Provider }

func New(providers map[string]Provider) *Keystore { panic("unwritten") }

// Generate makes a key in the scheme given ("software").
func (k *Keystore) Generate(ctx context.Context, scheme string, tenant pki.TenantID, kind pki.KeyKind, use Use) (pki.KeyURI, error) {
	panic("unwritten")
}
func (k *Keystore) Open(ctx context.Context, uri pki.KeyURI) (*Key, error) { panic("unwritten") }
