package batch

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// A State is where a batch is in its life.
type State string

// The states. A batch begins Uploading; with its last row it is Checking (a dry
// run) or Running; Checked waits for the order to issue. Waiting is before Running where
// the profile wants approval.
const (
	Uploading State = "uploading"
	Checking  State = "checking"
	Checked   State = "checked"
	Waiting   State = "waiting"
	Running   State = "running"
	Paused    State = "paused"
	Cancelled State = "cancelled"
	Done      State = "done"
)

// A Batch is a manufacturing job.
type Batch struct {
	ID       pki.BatchID
	Tenant   pki.TenantID
	Endpoint string         // name
	Profile  pki.ProfileRef // pinned at creation

	// Of a batch of pairs: where the second certificate of each device comes from, and the
	// profile pinned there. A device has two rows then, 2i-1 at Endpoint and 2i here; no
	// chunk parts them, and both are issued or neither.
	PairEndpoint string // name; "" is none
	PairProfile  pki.ProfileRef

	Authority   pki.AuthorityID
	Defaults    pki.Placement // of rows that say nothing
	Every       Every         // what all rows have in common, when the upload is complete
	DryRun      bool          // stop after checking until told to issue
	Idempotency string        // "" for none
	State       State
	Rows        int64          // known when the upload is complete
	Digest      [32]byte       // SHA-256 of the uploaded file
	By          string         // who submitted it
	Scopes      []access.Scope // where the submitter might submit batches when the upload began; nil is the whole tenant
	Needs       string         // whose approval it needed when it was made, for people; "" is nobody's
	RetryOf     pki.BatchID    // the batch whose refused rows these are; "" for an upload
	RetryKinds  string         // kinds of the refusals that were asked for, separated by commas; "" is all
	Created     time.Time
	Started     time.Time // first Running; zero before
	Finished    time.Time // Done or Cancelled; zero before

	// Of one that is Paused or Cancelled: who did that, and the reason, "" where a
	// person did. Made up by the store on reading, from the newest event. Of one that
	// is Waiting, Why is for whom.
	StoppedBy, Why string
	// Change is by which it waits for approval or was approved, made up by the store on
	// reading; "" is none.
	Change pki.ChangeID

	// Counts, made up by the store on reading.
	Checked   int64 // rows a dry run looked at
	Issued    int64
	Refused   int64 // while Checking or Checked: rows that would be refused
	Cancelled int64
}

// width returns how many rows a device has.
func (b *Batch) width() int {
	if b.PairEndpoint != "" {
		return 2
	}
	return 1
}

// Every is where all rows of a batch belong; a name is "" where rows differ or say none.
type Every struct {
	ProductLine string
	Site        string
}

// ChunkRows is the largest number of rows in a chunk: a single request that comes
// while one is stored waits for so many.
const ChunkRows = 125

// A Chunk is up to ChunkRows consecutive rows of a batch.
type Chunk struct {
	No    int   // from 0
	First int64 // row number of its first row, from 1
	Count int
	Rows  []byte // encoded by this package; opaque to the store

	// Retries says of each row of a retry where it comes from; nil otherwise.
	Retries []Retry
}

// A ChunkID names a chunk of a batch; the zero value is before all of them.
type ChunkID struct {
	Batch pki.BatchID
	No    int
}

// A Purge is a chunk whose rows are to be dropped.
type Purge struct {
	Tenant   pki.TenantID
	Batch    pki.BatchID
	Chunk    Chunk
	Requests [][]byte // of each row, as tbs.CutKey leaves it; nil of a row of which none is kept
}

// A Retry is a row that was refused and is to be tried again.
type Retry struct {
	Row    int64 // in the batch that refused it
	Origin int64 // in the file that was uploaded at first
}

// A Result is one row's end.
type Result struct {
	Row         int64
	PairRow     int64 // of a pair: the row of the other certificate; set by Service.Results
	Origin      int64 // of a retry: the row in the file that was uploaded at first
	Device      pki.DeviceID
	Certificate *Issued // nil where not issued, or archived
	Archive     string  // in which archive the certificate is; "" where in none
	Refusal     *issuance.Refusal
	Cancelled   bool
}

// Issued is what the results say of a certificate: they are read a hundred thousand at
// a time, so it is no more than that.
type Issued struct {
	Issuer pki.IssuerID
	Serial pki.Serial
	DER    []byte
}

// Store keeps batches. issuance.Store.Commit claims and closes chunks.
type Store interface {
	access.AuthorityNames

	// CreateBatch stores a batch in state Uploading with its event. Where the
	// tenant has one with the same non-empty idempotency key, that one is
	// returned, unchanged, with existed set.
	CreateBatch(ctx context.Context, b *Batch, e pki.Event) (got *Batch, existed bool, err error)
	// BatchByKey returns the tenant's batch with an idempotency key, as CreateBatch would;
	// NotFound where there is none, and for "".
	BatchByKey(ctx context.Context, tenant pki.TenantID, idempotency string) (*Batch, error)
	// RestartUpload drops what was uploaded of a batch that is still Uploading, or
	// was Cancelled before its upload was complete: it is Uploading then, and its submitter's
	// scopes are the given ones. It is Conflict for any other. The marks on rows that it retries go, too; so they do
	// with SetState from Uploading or Waiting to Cancelled.
	RestartUpload(ctx context.Context, tenant pki.TenantID, id pki.BatchID, scopes []access.Scope) error
	// DropRetry removes a retry that is Uploading, and its marks on the rows that it
	// retries, with its event; Conflict for any other batch.
	DropRetry(ctx context.Context, tenant pki.TenantID, id pki.BatchID, e pki.Event) error
	// AddChunks adds rows while Uploading; Conflict otherwise. Rows of a retry are
	// marked as retried; Conflict, too, where another retry has one of them. It adds
	// all chunks or none.
	AddChunks(ctx context.Context, tenant pki.TenantID, id pki.BatchID, chunks ...*Chunk) error
	// EndUpload sets Rows, Every, Digest and the next state, with its event.
	EndUpload(ctx context.Context, tenant pki.TenantID, id pki.BatchID, rows int64, every Every, digest [32]byte, next State, at time.Time, e pki.Event) error
	// SetState moves the batch from one of the given states to another, or is
	// Conflict. Entering Running for the first time drops what the dry run found;
	// entering Done needs every chunk closed, else it is NotReady.
	SetState(ctx context.Context, tenant pki.TenantID, id pki.BatchID, from []State, to State, at time.Time, e pki.Event) error

	Batch(ctx context.Context, tenant pki.TenantID, id pki.BatchID) (*Batch, error)
	// BatchHead is Batch without what is made up on reading, which is empty: its cost
	// does not grow with the batch.
	BatchHead(ctx context.Context, tenant pki.TenantID, id pki.BatchID) (*Batch, error)
	// Batches returns up to limit of the tenant's batches, newest first, with ids below before ("" from the newest).
	Batches(ctx context.Context, tenant pki.TenantID, before pki.BatchID, limit int) ([]*Batch, error)
	// Active returns the batches of all tenants in one of the given states, oldest first, for workers, without
	// what is made up on reading, as BatchHead.
	Active(ctx context.Context, states ...State) ([]*Batch, error)
	// Denied returns the batches of all tenants that are Waiting for a change which is
	// over and not executed.
	Denied(ctx context.Context) ([]Denied, error)

	// PendingChunks returns up to limit chunks with numbers from from on that no intent
	// has claimed.
	PendingChunks(ctx context.Context, tenant pki.TenantID, id pki.BatchID, from, limit int) ([]*Chunk, error)
	// PutCheck stores what a dry run found in a chunk.
	PutCheck(ctx context.Context, tenant pki.TenantID, id pki.BatchID, chunk int, refusals []issuance.Refusal) error
	// Results returns the ends of rows after a row number, in row order, up to
	// limit rows; a row that has no end yet is left out, so that fewer rows are all
	// that there are. A cancelled batch's
	// rows that were neither issued nor refused are Cancelled.
	Results(ctx context.Context, tenant pki.TenantID, id pki.BatchID, after int64, limit int) ([]Result, error)
	// Retryable returns up to limit rows after a row number, in order, that were
	// refused for one of the kinds (none is any) and that no retry has.
	Retryable(ctx context.Context, tenant pki.TenantID, id pki.BatchID, kinds []pki.Kind, after int64, limit int) ([]Retry, error)
	// ChunkOf returns the chunk that holds a row; NotFound, too, where the rows of a batch
	// that is over are not kept any more.
	ChunkOf(ctx context.Context, tenant pki.TenantID, id pki.BatchID, row int64) (*Chunk, error)

	// PurgeableRows returns up to limit chunks, of batches of all tenants that ended before a
	// time, whose rows are there: all but those that an intent has. They come in the order of
	// their names, those after one.
	PurgeableRows(ctx context.Context, before time.Time, after ChunkID, limit int) ([]*Purge, error)
	// PurgeRows drops the rows of chunks that are purgeable still, keeps their requests in the
	// same transaction, and returns how many chunks these are. Of a chunk of which no
	// certificate is in the store it keeps nothing, and nothing is kept any longer when the
	// last of them is archived.
	PurgeRows(ctx context.Context, before time.Time, chunks ...*Purge) (purged int, err error)
	// KeptRequests returns the requests that PurgeRows kept of the chunk that holds a row, and
	// the number of its first row; NotFound where it kept none.
	KeptRequests(ctx context.Context, tenant pki.TenantID, id pki.BatchID, row int64) (first int64, requests [][]byte, err error)
}
