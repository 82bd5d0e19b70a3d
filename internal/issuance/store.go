package issuance

import (
	"context"
	"errors"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// ErrFenced is the outcome of recording an intent that is no longer open in the
// recorder's epoch: another node took it over. What was signed is discarded.
var ErrFenced = errors.New("the intent is not open in this epoch")

// An Intent is the committed record of what will be signed: up to MaxGroup
// certificates of one issuer, and the node that will sign them.
type Intent struct {
	ID      pki.IntentID
	Issuer  pki.IssuerID
	Tenant  pki.TenantID // the issuer's
	Node    string
	Epoch   int64
	Attempt int // from 1, raised at each take-over
	Items   []*Item

	// Of a chunk of a batch: the chunk is claimed with the intent, and its
	// refused rows are stored with it. Batch is "" for single requests.
	Batch    pki.BatchID
	Chunk    int
	Refusals []Refusal

	// Complete is set by Store.Adopt where the intent is to be completed: a
	// batch that is running, under an active authority. Others become void.
	Complete bool

	// Err is this intent's own outcome, set by Store.Commit: ErrFenced for a
	// record; for a new intent Conflict where its chunk is not there to claim.
	Err error
}

// A Refusal is a row of a batch that gets no certificate.
type Refusal struct {
	Row       int64
	Device    pki.DeviceID
	Placement pki.Placement // that the row or its batch named
	Kind      pki.Kind
	Reason    string
}

// UsedForAnother refuses a request whose idempotency key another request has used. A device
// knows that key, where it has one, as its secret that is good for one certificate.
func UsedForAnother() error {
	return pki.Errorf(pki.Conflict, "the idempotency key, or the secret that is good for one certificate, was used for another request: send that one again, or take a new key or secret")
}

// SameDevice refuses a row of a batch whose device an earlier row of the same file has.
func SameDevice(it *Item, earlier string) error {
	what := "certificate"
	if it.With != nil {
		what = "pair"
	}
	return pki.Errorf(pki.Conflict, "row %d names the same device as row %s: a file gives a device one %s; another goes into a file of its own", it.Row, earlier, what)
}

// RefuseBoth returns why each of a pair is refused where one of them is: what is wrong
// with itself, or else with the other. Two rows of a batch have an answer each; rows are
// 0 for a single request, which has one.
func RefuseBoth(refused [2]error, rows [2]int64) [2]error {
	both := refused
	for i, other := range [2]int{1, 0} {
		cause := refused[other]
		switch {
		case refused[i] != nil || cause == nil:
		case rows[other] == 0:
			both[i] = cause
		default:
			both[i] = pki.Because(pki.KindOf(cause), cause, "the other of its pair, row %d, is refused: %s", rows[other], pki.DetailOf(cause))
		}
	}
	return both
}

// An Item is one certificate of an intent.
type Item struct {
	Serial       pki.Serial
	Owner        pki.TenantID
	Device       pki.DeviceID // "" where no device is concerned
	Placement    pki.Placement
	Profile      pki.ProfileRef
	NotBefore    time.Time
	NotAfter     time.Time
	TBS          []byte   // DER TBSCertificate: what will be signed, to the byte
	KeyHash      [32]byte // SHA-256 of the SubjectPublicKeyInfo
	SharedKey    bool     // the profile lets devices share a key: no key use is claimed
	RenewSameKey bool     // the profile lets the same device use its key again
	Row          int64    // of the batch, from 1; 0 for a single request

	// The claim of a single request: an idempotency key of the owner, "" for
	// none, and a hash of the request that must be equal when it comes again.
	Idempotency string
	RequestHash [32]byte

	// Endpoint is that of the owner's by which it was asked for, "" for what pando makes for
	// itself.
	Endpoint string

	// Of a single request, kept with its certificate: the request as tbs.CutKey
	// leaves it, and who asked, as events have it. A batch keeps its rows.
	Request []byte
	Actor   string

	// Within, of a new intent, refuses the item where its device is by then in a part of
	// the tenant that whoever asked may not enrol in. Nil is wherever it is.
	Within *access.Within

	// Change is the approved change that the item executes, "" for most. The intent has
	// it to itself; the record moves it to executed, and names the certificate with it.
	Change pki.ChangeID

	// With is the other of a pair, nil for most: the two stand side by side in one intent,
	// and are issued both or neither. Of a batch they are the rows 2i-1 and 2i.
	With *Item

	// Set by Store.Commit of a new intent. A refused item, or one that was
	// claimed earlier, is not part of the intent.
	Refused error    // DuplicateKey, or Conflict for an idempotency key of another request or a change that is not approved
	Earlier *Earlier // the same request came before

	// Set before Store.Commit of a record: the certificate, or nil for an item
	// that becomes void.
	DER []byte
}

// Earlier names what an earlier request with the same idempotency key led to.
type Earlier struct {
	Intent pki.IntentID
	Issuer pki.IssuerID
	Serial pki.Serial
}

// Store is what issuance needs kept. All methods are safe for concurrent use.
type Store interface {
	// Enter registers node as alive until the given time and returns its new
	// epoch, which is greater than each earlier epoch of any node.
	Enter(ctx context.Context, node string, until time.Time) (epoch int64, err error)
	// Stay prolongs node's registration; ErrFenced where epoch is not its latest.
	Stay(ctx context.Context, node string, epoch int64, until time.Time) error

	// Clock returns the newest time that a Commit or Register of any node was given,
	// or that AcceptClock set; zero before the first.
	Clock(ctx context.Context) (time.Time, error)
	// AcceptClock sets that time, also to an earlier one, with the event.
	AcceptClock(ctx context.Context, now time.Time, e pki.Event) error

	// Commit stores, in one durable transaction, the outcome of the signed
	// intents in records and the new intents. It is the only way to a
	// certificate row.
	//
	// A new intent of a batch claims its chunk: where the batch is not running
	// or the chunk not pending, Err is set to Conflict and nothing of it is
	// stored. Each item claims its idempotency key and its key; one that
	// collides gets Refused or Earlier and is left out; in a batch the store
	// adds a Refusal for it. A batch intent without items left closes its chunk
	// at once; a single one without items is not stored. Two items of one
	// commit that collide with each other are told apart the same way: the
	// first wins. Of a pair both are refused where one is.
	//
	// A record is stored only if its intent is still open in its epoch and
	// attempt; otherwise Err is ErrFenced and nothing of it is stored. It
	// inserts the certificates, the devices and one row of log leaves; it
	// closes the intent and, in a batch, the chunk. An item without DER becomes
	// void: a revocation entry for its serial (reason unspecified), and its
	// claims are given up. A batch intent with a void item gives up its whole
	// chunk's claim where no item has DER (the chunk is pending again, without
	// refusals); otherwise the void rows become refusals with kind Unavailable.
	//
	// An error means that the outcome is unknown: the transaction may have been
	// committed.
	Commit(ctx context.Context, now time.Time, records, intents []*Intent) error

	// Adopt takes over up to limit open intents whose node's registration ran
	// out before now, or that are of an earlier epoch of node itself: it sets
	// Node and Epoch, raises Attempt and returns them whole. now is compared
	// with registrations. An intent that is damaged is left as it is and named
	// in the error, beside which the others are returned.
	Adopt(ctx context.Context, node string, epoch int64, now time.Time, limit int) ([]*Intent, error)

	// Open reports whether the intent is still open.
	Open(ctx context.Context, id pki.IntentID) (bool, error)

	// Certificate returns a certificate to the tenant that issued or owns it, or
	// NotFound. The DER is checked against its stored hash.
	Certificate(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error)
}
