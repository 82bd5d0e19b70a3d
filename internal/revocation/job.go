package revocation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A JobID identifies a job.
type JobID string

// A JobState is where a job is in its life.
type JobState string

// The states. A job begins Counting (a dry run, or where others must approve one that
// changes much) or Running; one that is Counted waits for the order to run.
const (
	Counting  JobState = "counting"
	Counted   JobState = "counted"
	Running   JobState = "running"
	Paused    JobState = "paused"
	Cancelled JobState = "cancelled"
	Done      JobState = "done"
)

// A Selection names certificates by exactly one of its fields. A device, a lot and
// a product line are the tenant's own, as its certificates had them when they were
// issued; of an issuer, and of a batch, it is those that the tenant issued or owns.
type Selection struct {
	Device      pki.DeviceID
	Lot         string
	ProductLine string
	Batch       pki.BatchID
	Issuer      pki.IssuerID
}

// A Selector is what a Selection goes by.
type Selector string

// The selectors.
const (
	ByDevice      Selector = "device"
	ByLot         Selector = "lot"
	ByProductLine Selector = "product line"
	ByBatch       Selector = "batch"
	ByIssuer      Selector = "issuer"
)

// Selectors lists every selector.
func Selectors() []Selector { return []Selector{ByDevice, ByLot, ByProductLine, ByBatch, ByIssuer} }

// Select returns the selection by one selector.
func Select(by Selector, name string) (s Selection) {
	*s.fields()[by] = name
	return s
}

func (s *Selection) fields() map[Selector]*string {
	return map[Selector]*string{
		ByDevice: (*string)(&s.Device), ByLot: &s.Lot, ByProductLine: &s.ProductLine, ByBatch: (*string)(&s.Batch), ByIssuer: (*string)(&s.Issuer),
	}
}

// By returns the selector and the name that it is given; Malformed unless exactly
// one field is set.
func (s Selection) By() (by Selector, name string, err error) {
	var set []string
	for _, selector := range Selectors() {
		if text := *s.fields()[selector]; text != "" {
			by, name = selector, text
			set = append(set, string(selector))
		}
	}
	if len(set) != 1 {
		return "", "", pki.Errorf(pki.Malformed, "the certificates are selected by exactly one of device, lot, product line, batch and issuer, not by [%s]", strings.Join(set, ", "))
	}
	return by, name, nil
}

// String says what is selected, as `lot "7"`.
func (s Selection) String() string {
	by, name, err := s.By()
	if err != nil {
		return "nothing"
	}
	return fmt.Sprintf("%s %q", by, name)
}

// A Job revokes, holds or releases many certificates. Those that are issued into
// its selection after it was created are not among them.
type Job struct {
	ID          JobID
	Tenant      pki.TenantID
	Selection   Selection
	Reason      pki.Reason // RemoveFromCRL releases what is on hold
	DryRun      bool       // stop after counting until told to run
	Idempotency string     // "" for none
	State       JobState
	By          string // who created it
	Created     time.Time
	Started     time.Time // first Running; zero before
	Finished    time.Time // Done or Cancelled; zero before

	// Approved is how many certificates others approved that it changes, while it
	// counts once more before it runs; 0 otherwise.
	Approved int64

	// Total is how many certificates are selected; 0 while that is not known. Of
	// an issuer only a dry run finds out.
	Total int64
	// Counts are of the certificates that were looked at: by a dry run, or since
	// the job runs.
	Counts
}

// Counts say in which state certificates were found, each once. Good, Held and
// Suspended are of those that have not expired.
type Counts struct {
	Good      int64
	Held      int64
	Suspended int64 // on hold, and a release must leave it: its device is suspended, or its lender holds it
	Revoked   int64
	Expired   int64
}

// Ran reports whether the job was ever let run, so that its counts are of what it did;
// those of one that was not are of what it would do.
func (j *Job) Ran() bool { return !j.Started.IsZero() }

// Seen returns how many certificates were looked at.
func (c Counts) Seen() int64 { return c.Good + c.Held + c.Suspended + c.Revoked + c.Expired }

// Changed returns how many of them get an entry with the given reason. The others
// are as they should be, or cannot be changed.
func (c Counts) Changed(reason pki.Reason) int64 {
	switch reason {
	case pki.CertificateHold:
		return c.Good
	case pki.RemoveFromCRL:
		return c.Held
	default:
		return c.Good + c.Held
	}
}

// Count counts one certificate: latest is its latest entry, nil where there is
// none; kept says that a release must leave it.
func (c *Counts) Count(latest *pki.Revocation, kept bool, notAfter, now time.Time) {
	switch {
	case latest != nil && latest.Reason != pki.CertificateHold && latest.Reason != pki.RemoveFromCRL:
		c.Revoked++
	case notAfter.Before(now):
		c.Expired++
	case latest != nil && latest.Reason == pki.CertificateHold && kept:
		c.Suspended++
	case latest != nil && latest.Reason == pki.CertificateHold:
		c.Held++
	default:
		c.Good++
	}
}

// ShardCounts are the Counts of one CRL shard.
type ShardCounts struct {
	Issuer pki.IssuerID
	Shard  int
	Counts
}

// A JobMove is a change of a job's state.
type JobMove struct {
	From []JobState // it is in one of these
	To   JobState
	At   time.Time

	// Alone bounds a job that begins to run with nobody else's approval; nil where there
	// is no bound.
	Alone *Alone
	// Approved is the job's while it counts again.
	Approved int64
}

// Alone bounds what jobs change with nobody's approval: all of a tenant that begin
// from a time on, together. One beyond it does not begin: ErrShare. A job counts with
// what it was to change when it began, so that two at once are two.
type Alone struct {
	Since time.Time
	Most  int64
}

// ErrShare is why a job waits for approval.
var ErrShare = pki.Errorf(pki.Conflict, "the revocation jobs of the last 24 hours would change more than the share of the certificates in force that the tenant lets one alone change")

// MaxOpenJobs is how many jobs of a tenant may be under way, paused or waiting for the
// order to run: each costs a look every half second.
const MaxOpenJobs = 100

// JobStore keeps jobs.
type JobStore interface {
	// CreateJob stores a job with its event. What it selects ends with the newest
	// certificate there is at that moment. Where the tenant has one with the same
	// non-empty idempotency key, that one is returned, unchanged, with existed set.
	// Conflict where it has MaxOpenJobs that are not over.
	// NotFound where nothing can be selected: the tenant has no such batch or
	// issuer, or no certificate of such a device, lot or product line.
	CreateJob(ctx context.Context, j *Job, e pki.Event) (got *Job, existed bool, err error)
	// PlacesOf returns where the certificates of a selection are that the tenant issued
	// or owns, each place once, limit at most. NotFound as with CreateJob, but for a
	// device, a lot and a product line that have none.
	PlacesOf(ctx context.Context, tenant pki.TenantID, sel Selection, limit int) ([]access.Scope, error)
	// InForce returns how many certificates a tenant owns that end in the month of now
	// or later, revoked ones with them. Those of the last seconds may be missing.
	InForce(ctx context.Context, tenant pki.TenantID, now time.Time) (int64, error)
	// MoveJob changes the state of a job; Conflict where it is in none that the move is
	// from, ErrShare as JobMove says. A job that was Counted begins anew when it runs,
	// or counts again.
	MoveJob(ctx context.Context, tenant pki.TenantID, id JobID, m JobMove, e pki.Event) error
	// AdvanceJob takes a job that is Counting or Running on by up to limit
	// certificates, as of now, and returns whether those were the last. In one
	// durable transaction it inserts the entries that Next allows, with their
	// leaves, counts, and notes how far the job is; so a job that is broken off
	// anywhere goes on where it was. A release leaves what a suspended device
	// has, and what the tenant of the issuer holds. Conflict where the job is in another state,
	// or another process took the same step.
	AdvanceJob(ctx context.Context, tenant pki.TenantID, id JobID, now time.Time, limit int) (last bool, err error)

	Job(ctx context.Context, tenant pki.TenantID, id JobID) (*Job, error)
	// Jobs returns up to limit of the tenant's jobs, newest first, with ids below before ("" from the newest).
	Jobs(ctx context.Context, tenant pki.TenantID, before JobID, limit int) ([]*Job, error)
	// JobCounts returns up to limit of a job's counts by issuer and shard, in a
	// fixed order, after the given one (zero from the first).
	JobCounts(ctx context.Context, tenant pki.TenantID, id JobID, after ShardCounts, limit int) ([]ShardCounts, error)
	// ActiveJobs returns the jobs of all tenants that are Counting or Running, oldest first, for workers.
	ActiveJobs(ctx context.Context) ([]*Job, error)
}
