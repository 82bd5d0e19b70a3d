package keystore

import (
	"context"

	"github.com/pando-pki/pando/internal/pki"
)

// A Credential is a key of the server's own with its certificate: a listener's
// or an OCSP responder's.
type Credential struct {
	Tenant pki.TenantID
	Name   string // unique in the tenant, as "listener:node-1" or "ocsp:0abc"
	Source string // what it was asked of and for, in its maker's words: where that changes, it is made anew
	Key    pki.KeyURI
	Issuer pki.IssuerID // of the certificate
	Chain  [][]byte     // DER: the certificate, and issuers up to, without, the root
}

// CredentialStore keeps credentials, so that a restart goes on with them.
type CredentialStore interface {
	// Credential returns the tenant's credential of a name, or NotFound.
	Credential(ctx context.Context, tenant pki.TenantID, name string) (*Credential, error)
	// PutCredential stores a credential in the place of an earlier one.
	PutCredential(ctx context.Context, c *Credential) error
}
