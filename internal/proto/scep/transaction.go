package scep

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Transaction is what the messages of one transaction identifier at one endpoint have
// in common (RFC 8894, 3.2.1.1) that one key signs: under another's signature the
// identifier is another's, so that nobody takes it from a client who has it already.
type Transaction struct {
	Tenant   pki.TenantID
	Endpoint string // name
	ID       string
	Signer   [32]byte // SHA-256 of the SubjectPublicKeyInfo that signs its messages
	Key      [32]byte // of the one that a certificate is asked for
	Begun    time.Time

	// Request is the DER request, sealed in the store, while it waits for approval, since a CertPoll does not
	// bring it again; nil where none waited. Renews says that it was a RenewalReq, and
	// Principal is who asked, from the beginning on.
	Request   []byte
	Renews    bool
	Principal string
}

// sealedFor is the label of a transaction's sealed request: it opens in its own row alone.
func (t *Transaction) sealedFor() string {
	return "scep\n" + string(t.Tenant) + "\n" + t.Endpoint + "\n" + hex.EncodeToString(t.Signer[:]) + "\n" + t.ID
}

// Store keeps transactions.
type Store interface {
	// BeginSCEP stores a transaction without its request, and returns it; one that is there
	// already is returned as it is. It is Conflict where that asks for another key, or where
	// its principal has the identifier for messages that another key signs.
	BeginSCEP(ctx context.Context, t *Transaction) (*Transaction, error)
	// KeepSCEP stores the request of a transaction that is there.
	KeepSCEP(ctx context.Context, t *Transaction) error
	// SCEPTransaction returns a transaction of a tenant's endpoint and a signer, or NotFound.
	SCEPTransaction(ctx context.Context, tenant pki.TenantID, endpoint, id string, signer [32]byte) (*Transaction, error)
}
