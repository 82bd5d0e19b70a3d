// Package soft keeps private keys sealed in the store: PKCS #8 under AES-256-GCM
// with the deployment's or the tenant's key-encryption key.
package soft

import (
	"context"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// A KEK is a key-encryption key of 32 bytes with its id; it prints as [secret].
type KEK struct{}

// LoadKEK reads from a file of mode 0600 ("file:PATH") or the environment ("env:NAME"): base64 of 32 bytes.
func LoadKEK(source string) (*KEK, error) { panic("unwritten") }

// CreateKEK makes a new key and writes it to path, mode 0600, exclusively, synced.
func CreateKEK(path string) (*KEK, error) { panic("unwritten") }

type Soft struct{}

// New returns the provider. tenants holds the key of each tenant that has its own.
func New(store keystore.Store, deployment *KEK, tenants map[pki.TenantID]*KEK, now pki.Clock) *Soft {
	panic("unwritten")
}
func (s *Soft) Generate(ctx context.Context, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error) {
	panic("unwritten")
}
func (s *Soft) Open(ctx context.Context, uri pki.KeyURI) (*keystore.Key, error) { panic("unwritten") }
