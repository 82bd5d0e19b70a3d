package revocation

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/access"
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

// A CRL is one published, immutable revocation list.
type CRL struct {
	List
	Number     int64
	Base       int64 // of a delta: the number of the full CRL that it is to
	Covers     int64 // highest sequence number of the entries it was made from
	Entries    int64
	ThisUpdate time.Time
	NextUpdate time.Time
	DER        []byte
	Hash       [32]byte // SHA-256 of DER; Service.CRL sets it, no store does
	Due        Due      // for PutCRL; no store returns it
	Parts      *Parts   // for PutCRL: the DER in parts; nil where DER has all of it
}

// Due says when a shard is due again, once a CRL of it is stored: at a time, and
// as soon as there is an entry above a sequence number.
type Due struct {
	At    time.Time
	Above int64
	// KeepRenewed says that nobody had wanted the shard's CRLs made anew when this one
	// was begun: who wants that since is not served by it, and it stays due.
	KeepRenewed bool
}

// A Span is serials: those above After and up to Through, or all of them where it is
// zero.
type Span struct{ After, Through pki.Serial }

// A Part is the encoded entries of a full CRL above the Last serial of the part before
// it, and up to its own. A shard's next CRL has it too, unless one of them changed: so
// what a CRL costs grows with what is new in it, and it is read and signed part by
// part.
type Part struct {
	Number  int64 // of the CRL for which it was made; the store sets it
	Last    pki.Serial
	Entries int64
	Octets  int       // of DER
	Expires time.Time // when the first certificate of an entry does
	Hash    [32]byte  // SHA-256 of DER
	DER     []byte
}

// Parts is a full CRL as it is stored: what stands before its entries, the parts of
// them, and what stands after.
type Parts struct {
	Head, Tail []byte
	Of         int64  // the number of the CRL that the other parts are from; 0 where there are none
	Gone       []Span // whose parts of earlier CRLs are no more
	New        []Part // those that were not staged
}

// An Edition is what is known of a CRL without its bytes. The zero Edition stands
// for none.
type Edition struct {
	Number     int64
	Covers     int64
	Entries    int64
	ThisUpdate time.Time
	NextUpdate time.Time
}

// AllShards stands for all shards of an issuer.
const AllShards = -1

// A ShardState tells what a shard's CRLs are.
type ShardState struct {
	Shard   int
	Newest  int64   // highest sequence number of the shard's entries; 0 for none
	Edition         // the latest full CRL
	Before  Edition // the full CRL before that
	Delta   Edition // the latest delta CRL
	Renewed bool    // somebody wants them all made anew
}

// Behind reports whether the shard has no CRL, or an entry that is neither in its full CRL
// nor in its delta.
func (s *ShardState) Behind() bool { return s.Number == 0 || s.Uncovered() }

// Uncovered reports whether the shard has an entry that is neither in its full CRL nor in
// its delta.
func (s *ShardState) Uncovered() bool { return s.Newest > max(s.Covers, s.Delta.Covers) }

// A Recovery is what is taken over from a published CRL.
type Recovery struct {
	List
	Number  int64            // of the CRL
	Ahead   bool             // it is later than all that the store knew of
	Entries []pki.Revocation // without N; NotAfter is for certificates that are not known
	Last    bool             // nothing follows: numbers go on from here
}

// Store is what revocation needs kept. Status is served by issuer: look-ups for
// relying parties carry no tenant, since an issuer's id is unique and public.
type Store interface {
	access.AuthorityNames

	// Certificate is issuance.Store's.
	Certificate(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error)
	// Revoke inserts a group of entries in order, each with its event, in one
	// durable transaction. An entry is for a certificate that its Tenant issued or
	// owns, or of its issuer that is known by a hold from Recover alone, and is the
	// one that Next allows; otherwise its Err is set, to NotFound or what Next says,
	// and nothing of it is stored. A certificate of a device that is suspended is not
	// released: DeviceSuspended; nor is, by its owner, one that the tenant of the issuer
	// holds: HeldByLender.
	Revoke(ctx context.Context, group []*Entry) error
	// Status returns what is known of a serial of an issuer.
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (Status, error)
	// Revoked returns up to limit entries of a shard that hold, not expired at
	// now, in order of serial, within the span. Entries with sequence
	// numbers above upto do not count; what is released is not listed.
	Revoked(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, span Span, limit int) ([]pki.Revocation, error)
	// Changed returns up to limit entries of a shard that hold, releases too, not
	// expired at now, in order of their sequence numbers, which are above since;
	// entries above upto do not count. last is up to where it came: upto, or the
	// next since.
	Changed(ctx context.Context, issuer pki.IssuerID, shard int, since, upto int64, now time.Time, limit int) (entries []pki.Revocation, last int64, err error)
	// Shards returns the state of each of an issuer's shards, and Shard that of
	// one; NotFound where there is none.
	Shards(ctx context.Context, issuer pki.IssuerID) ([]ShardState, error)
	Shard(ctx context.Context, issuer pki.IssuerID, shard int) (ShardState, error)
	// DueShards returns up to limit shards of each online issuer in force that
	// are due at now, that have no CRL, whose latest is from the
	// future, or that Renew names: those that have been due for longest first.
	// What it costs does not grow with the shards that are not due.
	DueShards(ctx context.Context, now time.Time, limit int) ([]List, error)
	// Renew has the CRLs of a shard, or with AllShards of all of the issuer's shards,
	// be due, and stores the event. NotFound where there is none.
	Renew(ctx context.Context, issuer pki.IssuerID, shard int, e pki.Event) error
	// Recover inserts, in one durable transaction with the event, those of the
	// entries that the store lacks by Missing, as of then, whether or not it knows
	// the certificates, and returns how many. With the last of them the shard's next
	// number is above the published one, and its CRLs are due. NotFound where there is
	// no such shard.
	Recover(ctx context.Context, r Recovery, e pki.Event) (taken int, err error)
	// ReserveCRLNumber returns the shard's next CRL number, durably: no other
	// call returns it again.
	ReserveCRLNumber(ctx context.Context, issuer pki.IssuerID, shard int) (int64, error)
	// PutCRL stores a CRL; Conflict where one of its list with the same or a higher
	// number is there, or where the latest full one is not that which its other parts
	// are of. The latest is kept, and of the one before it the edition. What was staged
	// for it is among its parts from then on. Parts that are gone, and what was staged for
	// earlier ones that never came, are nobody's from then on, and DropParts has yet to
	// drop them. With one that a person installed comes the event, nil for
	// those that RunCRL makes.
	PutCRL(ctx context.Context, c *CRL, e *pki.Event) error
	// StageParts stores new parts of a full CRL that is being made, under its reserved
	// number: nobody but StagedDER returns them before PutCRL has stored that CRL.
	// Conflict where the latest full one has the same or a higher number. It keeps
	// nothing of the parts.
	StageParts(ctx context.Context, issuer pki.IssuerID, shard int, number int64, parts []Part) error
	// DropParts drops up to limit parts, of all issuers' shards, that are no CRL's any more
	// and returns how many; fewer than limit are all that there were.
	DropParts(ctx context.Context, limit int) (dropped int, err error)
	// Parts returns the parts of a shard's latest full CRL, in order, without their
	// DER; none where it is not kept in parts. PartsDER returns up to limit of
	// those whose last serials are within the span, with their DER, which is the caller's;
	// StagedDER the same of those that are staged under a number.
	Parts(ctx context.Context, issuer pki.IssuerID, shard int) ([]Part, error)
	PartsDER(ctx context.Context, issuer pki.IssuerID, shard int, span Span, limit int) ([]Part, error)
	StagedDER(ctx context.Context, issuer pki.IssuerID, shard int, number int64, span Span, limit int) ([]Part, error)
	// CRLNumber returns the number of the list's latest CRL, or NotFound, without
	// reading the CRL: it is asked with each request for one.
	CRLNumber(ctx context.Context, list List) (int64, error)
	// CRL returns the list's latest CRL, or NotFound. It is the caller's.
	CRL(ctx context.Context, list List) (*CRL, error)
}
