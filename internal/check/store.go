package check

import (
	"context"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/revocation"
)

// An IntentState is where an intent is in its life.
type IntentState string

// The states of an intent.
const (
	IntentOpen   IntentState = "open"
	IntentClosed IntentState = "closed" // recorded: some of its places may be void
	IntentVoid   IntentState = "void"   // closed without any certificate
)

// An IntentRecord is what the store keeps of an intent once it is over.
type IntentRecord struct {
	ID     pki.IntentID
	Issuer pki.IssuerID
	State  IntentState
	Count  int          // of its items: certificates and void ones
	Digest [32]byte     // SHA-256 over the SHA-256 of each item's TBSCertificate, in order of place
	Voided []VoidedItem // in order of place
}

// A VoidedItem is an item of an intent for which there is no certificate, and
// never will be.
type VoidedItem struct {
	Place   int // from 0
	Serial  pki.Serial
	TBSHash [32]byte // SHA-256 of the TBSCertificate that was intended
}

// A Stub is what the store keeps of a certificate that is archived, and what OCSP
// knows of it. What is not there of its issuer or batch is empty.
type Stub struct {
	ID       int64 // of the certificate's row
	Issuer   pki.IssuerID
	Serial   pki.Serial
	NotAfter time.Time
	Batch    pki.BatchID
	Row      int64 // of the batch
}

// KeptRequests are what the store keeps of the requests of a batch's chunk whose rows were
// dropped.
type KeptRequests struct {
	ID      int64
	Batch   pki.BatchID // "" where it is not there
	Chunk   int
	Damaged bool // it has not the hash that was stored with it
}

// An EntryRow is an entry about a certificate's status, with its row number. Its issuer
// is empty where it is not in the store.
type EntryRow struct {
	Row int64
	pki.Revocation
}

// An EventRow is an event with its row number.
type EventRow struct {
	Row int64
	pki.Event
}

// WaitingLeaves are leaves of events or of entries about status that wait for their
// places in a tenant's log.
type WaitingLeaves struct {
	ID     int64
	Tenant pki.TenantID
	Hashes []tlog.Hash // as they were stored with the acts
	Rows   []tlog.Hash // of the same, made anew from their rows; zero where one is gone
}

// Store is what the checker reads. Its reads go across all tenants.
type Store interface {
	// ScanCertificates returns up to limit certificates with row numbers above
	// after, in order of row number, and the row number of the last one; none
	// at the end. A certificate whose bytes do not match their stored hash is
	// returned with a nil DER, and one whose intent, issuer, tenant, owner,
	// profile or batch is not there with that field empty, so that a fault hides
	// nothing.
	ScanCertificates(ctx context.Context, after int64, limit int) (certificates []*pki.Certificate, last int64, err error)
	// ScanEntries returns up to limit entries about status with row numbers from one on,
	// in order of row number.
	ScanEntries(ctx context.Context, from int64, limit int) ([]EntryRow, error)
	// ScanEvents returns up to limit events with row numbers from one on, in order of row
	// number.
	ScanEvents(ctx context.Context, from int64, limit int) ([]EventRow, error)
	// ScanWaiting returns up to limit WaitingLeaves with ids from one on, in order of id.
	// Of those from before hashes were stored they are what the rows say.
	ScanWaiting(ctx context.Context, from int64, limit int) ([]WaitingLeaves, error)
	// ScanIntents returns up to limit intents with ids above after, in order of
	// id; none at the end. One whose issuer is not there has an empty Issuer.
	ScanIntents(ctx context.Context, after pki.IntentID, limit int) ([]IntentRecord, error)
	// ScanRequests returns up to limit KeptRequests with ids above after, in order of id.
	ScanRequests(ctx context.Context, after int64, limit int) ([]KeptRequests, error)
	// AllArchives returns up to limit archives of all tenants with ids above after, in
	// order of id.
	AllArchives(ctx context.Context, after retention.ID, limit int) ([]*retention.Archive, error)
	// ScanArchived returns up to limit stubs with ids above after that are in an
	// archive, and among its rows, in order of id.
	ScanArchived(ctx context.Context, archive retention.ID, after int64, limit int) ([]Stub, error)
	// ScanStray returns, as ScanArchived does, the stubs that are in no archive: in
	// one that is not there, was not written, or has other rows.
	ScanStray(ctx context.Context, after int64, limit int) ([]Stub, error)
	// AllIssuers and Profile are hierarchy.Store's.
	Profile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error)
	AllIssuers(ctx context.Context) ([]*pki.Issuer, error)

	// Lot and DeviceState are registry.Store's, Closing is lotreport.Store's.
	Lot(ctx context.Context, tenant pki.TenantID, name string) (*registry.Lot, error)
	DeviceState(ctx context.Context, owner pki.TenantID, id pki.DeviceID) (registry.State, error)
	Closing(ctx context.Context, tenant pki.TenantID, lot string) (*lotreport.Closing, error)

	// AllQuotas is quota.Store's.
	AllQuotas(ctx context.Context) ([]*quota.Quota, error)
	// QuotaHeld counts what counts against a quota: certificates, and items of open
	// intents. Of one that is being counted it leaves out what is not counted yet.
	QuotaHeld(ctx context.Context, q *quota.Quota) (int64, error)

	// Status, Shards, Revoked and CRL are revocation.Store's.
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error)
	Shards(ctx context.Context, issuer pki.IssuerID) ([]revocation.ShardState, error)
	Revoked(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, span revocation.Span, limit int) ([]pki.Revocation, error)
	CRL(ctx context.Context, list revocation.List) (*revocation.CRL, error)

	// Logs, Backlog, Leaves and Tiles are auditlog.Store's.
	Logs(ctx context.Context) ([]*auditlog.Log, error)
	Backlog(ctx context.Context) ([]auditlog.Backlog, error)
	Leaves(ctx context.Context, tenant pki.TenantID, from int64, limit int) ([]*audit.Leaf, error)
	Tiles(ctx context.Context, tenant pki.TenantID, tiles []tlog.Tile) ([][]byte, error)
}
