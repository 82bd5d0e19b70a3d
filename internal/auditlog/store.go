// Package auditlog runs the logs: one worker of a deployment gives the leaves their
// places, signs checkpoints and hands them to anchors outside the store; where the
// log cannot keep up, or no anchor takes its checkpoints, issuance stops until they
// do. It also answers what auditors ask: checkpoints, proofs, entries, exports.
//
// What a leaf, a tree and a proof are is package audit's; the store keeps them.
package auditlog

import (
	"context"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// ErrFenced says that another node has taken the sequencer's lease over.
var ErrFenced = errors.New("another node runs the sequencer")

// A Hold is the right to sequence: the lease's epoch, as TakeSequencer gave it.
type Hold struct {
	Node  string
	Epoch int64
	Until time.Time // each act of the holder prolongs the lease to here
}

// A Log is the log of a tenant, or of the platform.
type Log struct {
	Tenant pki.TenantID
	KeyURI pki.KeyURI // of the key that signs its checkpoints
	Key    string     // verifies them; see audit.Key
	Size   int64      // leaves in the tree
	Root   tlog.Hash

	SignedSize int64  // of the newest checkpoint
	Checkpoint string // the newest; "" before the first

	AnchoredSize    int64     // the newest size of which an anchor took a checkpoint
	UnanchoredSince time.Time // when the log first grew beyond it; zero where it did not
}

// A Backlog is what the log of a tenant has still to do.
type Backlog struct {
	Tenant          pki.TenantID
	Leaves          int64     // without a place
	Certificates    int64     // of them
	Oldest          time.Time // of them; zero where there is none
	UnanchoredSince time.Time // when the log grew beyond what an anchor took; zero where it did not

	// What holds it up is its own, and nothing that concerns the other logs.
	Damaged  bool // what is in the log, or in the rows to be logged, is not what it was
	NoLog    bool // it could not be made yet
	Unsigned bool // anchors have every checkpoint that was signed: no other was
}

// A Kept is a checkpoint that was handed to anchors.
type Kept struct {
	Size int64
	At   time.Time
	Note string
}

// Archives has what was archived; a retention.Service does.
type Archives interface {
	// Leaves returns the leaves of those certificates that are archived, of n places
	// of a tenant's log from one on.
	Leaves(ctx context.Context, tenant pki.TenantID, from int64, n int) (map[int64]audit.Archived, error)
}

// Store is what the logs need kept. All methods are safe for concurrent use.
type Store interface {
	access.AuthorityNames

	// Deployment returns the deployment's id, which the first call makes.
	Deployment(ctx context.Context) (string, error)

	// TakeSequencer gives node the lease until the given time and raises its
	// epoch, or returns ErrFenced where another node holds it at now.
	TakeSequencer(ctx context.Context, node string, now, until time.Time) (epoch int64, err error)
	// KeepSequencer prolongs the lease, or returns ErrFenced.
	KeepSequencer(ctx context.Context, h Hold) error

	// Unlogged returns the tenants that have leaves waiting and no log.
	Unlogged(ctx context.Context) ([]pki.TenantID, error)
	// PutLog stores a new, empty log and an event in it; Conflict where the
	// tenant has one.
	PutLog(ctx context.Context, h Hold, l *Log, e pki.Event) error
	// Sequence gives up to limit groups of waiting leaves their places, in the
	// order in which they were committed, and returns how many groups it did. It
	// appends them to the logs' tiles and trees in the same transaction. A log that
	// is damaged holds up no other: it is marked, the error says so beside the
	// count, and it is tried again each time.
	Sequence(ctx context.Context, h Hold, limit int) (groups int, err error)
	// PutCheckpoint stores a log's newest checkpoint.
	PutCheckpoint(ctx context.Context, h Hold, tenant pki.TenantID, size int64, note string) error
	// KeepCheckpoint stores a checkpoint for good, before anchors get it.
	KeepCheckpoint(ctx context.Context, h Hold, tenant pki.TenantID, k Kept) error
	// Anchored notes that an anchor took the checkpoint of that size. Where one did
	// before, nothing changes: a slow anchor does not make the log look anchored later.
	Anchored(ctx context.Context, h Hold, tenant pki.TenantID, size int64, now time.Time) error

	Logs(ctx context.Context) ([]*Log, error)
	// Log returns a tenant's log, or NotFound.
	Log(ctx context.Context, tenant pki.TenantID) (*Log, error)
	// Backlog returns that of each log, and tenant without one, that has something
	// to do.
	Backlog(ctx context.Context) ([]Backlog, error)

	// Tiles returns the hashes of tiles of a tenant's log. One that is not there,
	// or has fewer hashes than asked for, is NotFound.
	Tiles(ctx context.Context, tenant pki.TenantID, tiles []tlog.Tile) ([][]byte, error)
	// Leaves returns up to limit leaves of a tenant's log from an index on, made
	// anew from the rows that they stand for; nil stands for one whose row is
	// gone or damaged.
	Leaves(ctx context.Context, tenant pki.TenantID, from int64, limit int) ([]*audit.Leaf, error)
	// CertificateIndex returns in which log a certificate is, and where; NotFound
	// where there is no such certificate, NotReady where it has no place yet.
	CertificateIndex(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (pki.TenantID, int64, error)
	// Certificate is issuance.Store's.
	Certificate(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error)
	// EventIndex returns where an event is in its tenant's log; errors as above.
	EventIndex(ctx context.Context, tenant pki.TenantID, id string) (int64, error)

	// Kept returns up to limit of the checkpoints that were handed to anchors, of
	// sizes above after, in order of size.
	Kept(ctx context.Context, tenant pki.TenantID, after int64, limit int) ([]Kept, error)
	// KeptAt returns the newest of them that is not later than at, and the oldest
	// that is not earlier; the zero Kept where there is none.
	KeptAt(ctx context.Context, tenant pki.TenantID, at time.Time) (before, after Kept, err error)
}
