package enroll

import (
	"context"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/revocation"
)

// Store keeps endpoints, and the block list of keys.
type Store interface {
	access.AuthorityNames

	// PutEndpoint stores a new endpoint; Conflict where the name is taken. In the same
	// transaction it sets a quota that q is, nil for none, with an event of its own.
	PutEndpoint(ctx context.Context, ep *pki.Endpoint, q *quota.Quota, e pki.Event) error
	// UpdateEndpoint replaces what can be changed of an endpoint; Conflict where it is not
	// as it was read, or is gone.
	// It sets a quota as PutEndpoint does; one that would be raised is Conflict.
	UpdateEndpoint(ctx context.Context, was, ep *pki.Endpoint, q *quota.Quota, e pki.Event) error
	Endpoint(ctx context.Context, tenant pki.TenantID, name string) (*pki.Endpoint, error)
	Endpoints(ctx context.Context, tenant pki.TenantID) ([]*pki.Endpoint, error)

	// BlockKeys adds hashes (SHA-256 of the SubjectPublicKeyInfo) to the
	// deployment's block list and returns how many were new.
	BlockKeys(ctx context.Context, hashes [][32]byte, e pki.Event) (int, error)
	// KeyBlocked reports whether the hash is on the block list.
	KeyBlocked(ctx context.Context, hash [32]byte) (bool, error)

	// KeyUse returns which device of the owner used the key with the hash, and
	// whether one did.
	KeyUse(ctx context.Context, owner pki.TenantID, keyHash [32]byte) (device pki.DeviceID, used bool, err error)

	// Claimed returns what an owner's idempotency key led to, and the hash of its
	// request, from the intent on; NotFound where it is not claimed.
	Claimed(ctx context.Context, owner pki.TenantID, idempotency string) (e issuance.Earlier, request [32]byte, err error)

	// Certificate returns a certificate to the tenant that issued or owns it, or
	// NotFound.
	Certificate(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error)

	// Status returns what is known of a serial of an issuer.
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error)
}
