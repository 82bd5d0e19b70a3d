package revocation

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Status is what the store knows of a serial.
type Status struct {
	Known      bool            // issued, or intended and void
	Revocation *pki.Revocation // the entry that holds; nil for none and after a release
	Entries    int             // how many there are, with releases
	NotAfter   time.Time
}

// An Entry is a revocation entry on its way into the store, by order of a
// principal of Tenant. The store sets N, Shard and NotAfter.
type Entry struct {
	pki.Revocation
	Tenant pki.TenantID
	Event  pki.Event
	Err    error // set by Store.Revoke: why this one was not inserted
}

// A CRL is one published, immutable revocation list of a shard.
type CRL struct {
	Issuer     pki.IssuerID
	Shard      int
	Number     int64
	Covers     int64 // highest sequence number of the entries it was made from
	Entries    int64
	ThisUpdate time.Time
	NextUpdate time.Time
	DER        []byte
	Hash       [32]byte // SHA-256 of DER; Service.CRL sets it, no store does
}

// A ShardState tells whether a shard's CRL is due.
type ShardState struct {
	Shard      int
	Newest     int64 // highest sequence number of the shard's entries; 0 for none
	Covers     int64 // of the latest CRL
	Number     int64 // of the latest CRL; 0 for none
	ThisUpdate time.Time
	NextUpdate time.Time
}

// Store is what revocation needs kept. Status is served by issuer: look-ups for
// relying parties carry no tenant, since an issuer's id is unique and public.
type Store interface {
	// Revoke inserts a group of entries in order, each with its event, in one
	// durable transaction. An entry is for a certificate that its Tenant issued or
	// owns and is the one that Next allows; otherwise its Err is set, to NotFound
	// or what Next says, and nothing of it is stored.
	Revoke(ctx context.Context, group []*Entry) error
	// Status returns what is known of a serial of an issuer.
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (Status, error)
	// Revoked returns up to limit entries of a shard that hold, not expired at
	// now, in order of serial, beginning after the given one. Entries with sequence
	// numbers above upto do not count; what is released is not listed.
	Revoked(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, after pki.Serial, limit int) ([]pki.Revocation, error)
	// Changed is Revoked for a delta: it returns the serials whose latest entry has
	// a number above from, and those that are released too.
	Changed(ctx context.Context, issuer pki.IssuerID, shard int, from, upto int64, now time.Time, after pki.Serial, limit int) ([]pki.Revocation, error)
	// Shards returns the state of each of an issuer's shards.
	Shards(ctx context.Context, issuer pki.IssuerID) ([]ShardState, error)
	// ReserveCRLNumber returns the shard's next CRL number, durably: no other
	// call returns it again.
	ReserveCRLNumber(ctx context.Context, issuer pki.IssuerID, shard int) (int64, error)
	// PutCRL stores a CRL; Conflict where one with the same or a higher number
	// is there. The latest and the one before it are kept. With one that a person
	// installed comes the event, nil for those that RunCRL makes.
	PutCRL(ctx context.Context, c *CRL, e *pki.Event) error
	// CRLNumber returns the number of the shard's latest CRL, or NotFound, without
	// reading the CRL: it is asked with each request for one.
	CRLNumber(ctx context.Context, issuer pki.IssuerID, shard int) (int64, error)
	// CRL returns the shard's latest CRL, or NotFound. It is the caller's.
	CRL(ctx context.Context, issuer pki.IssuerID, shard int) (*CRL, error)
}
