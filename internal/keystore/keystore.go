// Package keystore reaches private keys by URI. The URI's scheme names the
// provider that holds the key; keystore/soft, which keeps keys sealed in the
// store, serves "software".
//
// It does not say what a key may sign: that is package signer, which is the only
// one to open keys.
package keystore

import (
	"context"
	"crypto"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// A Use is what a key is for. The keys of an authority, of its OCSP responder, of
// SCEP, of a TLS listener and of a tenant's log are all different keys.
type Use string

// The uses.
const (
	UseCA   Use = "ca"
	UseOCSP Use = "ocsp"
	UseTLS  Use = "tls"
	UseLog  Use = "log"

	UseLotReport Use = "lot-report"

	UseSCEPSigner    Use = "scep-signer"    // signs answers
	UseSCEPRecipient Use = "scep-recipient" // opens requests
)

// Uses lists every Use.
func Uses() []Use {
	return []Use{UseCA, UseOCSP, UseTLS, UseLog, UseLotReport, UseSCEPSigner, UseSCEPRecipient}
}

// A Key is an opened private key.
type Key struct {
	URI      pki.KeyURI
	Tenant   pki.TenantID
	Use      Use
	Hardware bool          // the private key is in a module that this process cannot look into
	Signer   crypto.Signer // safe for concurrent use
}

// A Provider makes and opens the keys of one URI scheme. It is safe for
// concurrent use.
type Provider interface {
	// Generate makes a key of the tenant and returns its URI once the key is
	// kept durably.
	Generate(ctx context.Context, tenant pki.TenantID, kind pki.KeyKind, use Use) (pki.KeyURI, error)
	// Open returns the key, or NotFound.
	Open(ctx context.Context, uri pki.KeyURI) (*Key, error)
}

// A Keystore finds the provider of a key by the scheme of its URI. It is safe
// for concurrent use.
type Keystore struct{ providers map[string]Provider }

// New returns a Keystore over providers by scheme, as "software".
func New(providers map[string]Provider) *Keystore { return &Keystore{providers: providers} }

// Generate makes a key in the scheme given and returns its URI. A scheme, kind
// or use that is not known is Malformed.
func (k *Keystore) Generate(ctx context.Context, scheme string, tenant pki.TenantID, kind pki.KeyKind, use Use) (pki.KeyURI, error) {
	p := k.providers[scheme]
	if p == nil {
		return "", pki.Errorf(pki.Malformed, "key scheme %.20q: this deployment makes keys in %s", scheme, k.schemes())
	}
	if _, err := pki.ParseKeyKind(string(kind)); err != nil {
		return "", err
	}
	if !slices.Contains(Uses(), use) {
		return "", pki.Errorf(pki.Malformed, "key use %.20q: it is one of %v", string(use), Uses())
	}
	return p.Generate(ctx, tenant, kind, use)
}

// Open opens the key that uri names. A key of a scheme that this deployment does
// not serve is Unavailable, and so is an offline root's.
func (k *Keystore) Open(ctx context.Context, uri pki.KeyURI) (*Key, error) {
	if uri == pki.OfflineKey {
		return nil, pki.Errorf(pki.Unavailable, "the key is offline: it is used only with 'pando ceremony'")
	}
	scheme, _, ok := strings.Cut(string(uri), ":")
	if !ok {
		return nil, pki.Errorf(pki.Malformed, "key URI without a scheme, which is one of %s", k.schemes())
	}
	p := k.providers[scheme]
	if p == nil {
		return nil, pki.Errorf(pki.Unavailable, "the key is in scheme %.20q; this deployment serves %s", scheme, k.schemes())
	}
	return p.Open(ctx, uri)
}

func (k *Keystore) schemes() string {
	names := make([]string, 0, len(k.providers))
	for name := range k.providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
