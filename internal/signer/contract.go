// Package signer says what may sign what: each key signs only structures of its
// own use, handed over whole, never a bare hash.
package signer

import (
	"context"
	"crypto"
	"io"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Purpose is a kind of structure to sign.
type Purpose int

const (
	Certificate Purpose = iota + 1 // TBSCertificate, by a CA key
	CRL                            // TBSCertList, by a CA key
	OCSP                           // ResponseData, by an OCSP key
	Request                        // CertificationRequestInfo, by any key over its own public key
)

type Signer struct{ keys *keystore.Keystore }

func New(keys *keystore.Keystore) *Signer { panic("unwritten") }

// Generate makes a key and returns its URI after one sign-and-verify.
func (s *Signer) Generate(ctx context.Context, scheme string, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error) {
	panic("unwritten")
}

// Public returns the public key of uri, and whether a hardware module holds it.
func (s *Signer) Public(ctx context.Context, uri pki.KeyURI) (key tbs.PublicKey, hardware bool, err error) {
	panic("unwritten")
}

// Sign signs the to-be-signed structure; message must parse as what purpose says. Safe for concurrent use; opened keys are kept.
// check asks for verification of the signature before return; hardware keys, CRL, Request and each key's first signature are verified whatever it says.
func (s *Signer) Sign(ctx context.Context, uri pki.KeyURI, purpose Purpose, message []byte, check bool) ([]byte, error) {
	panic("unwritten")
}

// SignStream signs what write writes, without holding it where the algorithm hashes. Purpose CRL only. The signature is verified before return.
func (s *Signer) SignStream(ctx context.Context, uri pki.KeyURI, purpose Purpose, write func(io.Writer) error) ([]byte, error) {
	panic("unwritten")
}

// TLS returns the crypto.Signer of a key with use TLS, for crypto/tls.
func (s *Signer) TLS(ctx context.Context, uri pki.KeyURI) (crypto.Signer, error) { panic("unwritten") }
