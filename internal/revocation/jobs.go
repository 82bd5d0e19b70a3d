package revocation

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// The bounds of what a request about jobs may say.
const (
	maxJobKey  = 128 // bytes of an idempotency key
	maxName    = 128 // bytes of a selection's name
	maxJobPage = 1000
)

// JobsConfig is what Jobs are made of; every field but Family is
// needed.
type JobsConfig struct {
	Store  JobStore
	VA     *Service // shows what the jobs did, in OCSP and CRLs
	Gate   Gate
	Family pki.FamilyOf
	Now    pki.Clock
	Log    *slog.Logger
}

// Jobs revokes, holds and releases certificates by the million, in steps of a few
// thousand. Its methods are safe for concurrent use.
type Jobs struct {
	cfg  JobsConfig
	wake chan struct{} // capacity 1: there may be work for Run
}

// NewJobs returns Jobs. Run must be running for jobs to go on.
func NewJobs(cfg JobsConfig) *Jobs { return &Jobs{cfg: cfg, wake: make(chan struct{}, 1)} }

// NewJob is what is asked for when a job is created.
type NewJob struct {
	Selection   Selection
	Reason      pki.Reason // RemoveFromCRL releases what is on hold
	DryRun      bool       // only count, and wait for Begin
	Idempotency string     // "" for none
}

// Create creates a job over certificates that the permit's tenant issued or owns,
// and starts it, or its dry run. Where the tenant has a rule about large jobs, it
// counts first, and goes on by itself unless it is one. The same request under the same
// idempotency key is the same job, with existed set, for who created it and those who may
// read it; to others, and for another request, that is Conflict, which names the job to
// those who may read it. It needs access.Revoke.
func (s *Jobs) Create(ctx context.Context, g access.Permit, n NewJob) (j *Job, existed bool, err error) {
	if err := g.CheckSome(access.Revoke); err != nil {
		return nil, false, err
	}
	_, name, err := n.Selection.By()
	if err != nil {
		return nil, false, err
	}
	if _, err := pki.ParseReason(n.Reason.String()); err != nil && n.Reason != pki.RemoveFromCRL {
		return nil, false, pki.Errorf(pki.Malformed, "certificates cannot be revoked for reason code %d", n.Reason)
	}
	if len(n.Idempotency) > maxJobKey || len(name) > maxName {
		return nil, false, pki.Errorf(pki.Malformed, "an idempotency key has at most %d bytes, and a name %d", maxJobKey, maxName)
	}
	if err := s.within(ctx, g, access.Revoke, n.Selection); err != nil {
		return nil, false, err
	}
	if err := s.cfg.VA.checkIssuer(ctx, g.Tenant(), n.Selection.Issuer, n.Reason); err != nil {
		return nil, false, err
	}
	now := s.cfg.Now().UTC()
	j = &Job{
		ID: JobID(pki.NewID(now)), Tenant: g.Tenant(), Selection: n.Selection, Reason: n.Reason, DryRun: n.DryRun,
		Idempotency: n.Idempotency, State: Running, By: g.Actor(), Created: now, Started: now,
	}
	verb := "start"
	count := n.DryRun
	if !count {
		if _, count, err = s.share(ctx, j); err != nil {
			return nil, false, err
		}
	}
	if count {
		verb, j.State, j.Started = "count", Counting, time.Time{}
	}
	got, existed, err := s.cfg.Store.CreateJob(ctx, j, s.event(g, verb, j, ""))
	if err != nil {
		return nil, false, err
	}
	if existed {
		if err := s.sameAs(ctx, g, j, got); err != nil {
			return nil, false, err
		}
	}
	s.awaken()
	return got, existed, nil
}

// sameAs refuses a job whose idempotency key belongs to another one that was there, or to
// the same one of somebody else, whose counts are not for all who revoke.
func (s *Jobs) sameAs(ctx context.Context, g access.Permit, j, got *Job) error {
	same := got.Selection == j.Selection && got.Reason == j.Reason && got.DryRun == j.DryRun
	if same && got.By == j.By {
		return nil
	}
	if seen := s.readable(ctx, g, got); !same || seen != nil {
		return access.KeyTaken(seen, "revocation job", "%s, which is another one; take another key", got.ID)
	}
	return nil
}

// readable is nil where whoever revokes may also read a job.
func (s *Jobs) readable(ctx context.Context, g access.Permit, j *Job) error {
	read, err := g.Principal().Authorize(access.ReadCertificates, g.Tenant())
	if err != nil {
		return err
	}
	return s.within(ctx, read, access.ReadCertificates, j.Selection)
}

// Begin lets a job run whose dry run is through. One that runs or has run is
// returned as it is: an order whose answer was lost can be given again. One that, with
// those of the last 24 hours, changes a greater share of the fleet than the tenant's
// rule has waits for approval; it counts once more when it is approved, and stays
// Counted where it has grown since.
func (s *Jobs) Begin(ctx context.Context, g access.Permit, id JobID) (*Job, error) {
	j, err := s.job(ctx, g, access.Revoke, id)
	if err != nil {
		return nil, err
	}
	if j.State == Counted {
		return s.begin(ctx, g, j)
	}
	return s.move(ctx, g, id, "start", JobMove{To: Running, From: []JobState{Counted}})
}

// Pause stops a job after the step that is in flight.
func (s *Jobs) Pause(ctx context.Context, g access.Permit, id JobID) (*Job, error) {
	return s.move(ctx, g, id, "pause", JobMove{To: Paused, From: []JobState{Running}})
}

// Resume lets a paused job go on.
func (s *Jobs) Resume(ctx context.Context, g access.Permit, id JobID) (*Job, error) {
	return s.move(ctx, g, id, "resume", JobMove{To: Running, From: []JobState{Paused}})
}

// Cancel ends a job: what it did stays.
func (s *Jobs) Cancel(ctx context.Context, g access.Permit, id JobID) (*Job, error) {
	return s.move(ctx, g, id, "cancel", JobMove{To: Cancelled, From: []JobState{Counting, Counted, Running, Paused}})
}

// move changes a job's state by order of the permit's principal, who needs
// access.Revoke. A job that is in the state already is returned as it is.
func (s *Jobs) move(ctx context.Context, g access.Permit, id JobID, verb string, m JobMove) (*Job, error) {
	j, err := s.job(ctx, g, access.Revoke, id)
	if err != nil || j.State == m.To || verb == "start" && j.State == Done {
		return j, err
	}
	m.At = s.cfg.Now().UTC()
	if err := s.cfg.Store.MoveJob(ctx, g.Tenant(), id, m, s.event(g, verb, j, findings(j))); err != nil {
		return nil, err
	}
	s.awaken()
	return s.cfg.Store.Job(ctx, g.Tenant(), id)
}

// Job returns a job of the permit's tenant. It needs access.ReadCertificates, as do
// the others that only read.
func (s *Jobs) Job(ctx context.Context, g access.Permit, id JobID) (*Job, error) {
	return s.job(ctx, g, access.ReadCertificates, id)
}

// Glance is Job for whoever asks about one certificate: it does not look at all that a
// lot, a batch or an issuer selects, so that such a job is also Forbidden to who may see all
// of that without seeing all of a product line, or everything.
func (s *Jobs) Glance(ctx context.Context, g access.Permit, id JobID) (*Job, error) {
	j, err := s.cfg.Store.Job(ctx, g.Tenant(), id)
	if err != nil {
		return nil, err
	}
	if sel := j.Selection; sel.Device == "" && !g.Whole() && !g.Covers(access.Scope{ProductLine: sel.ProductLine}) {
		return nil, g.Check(access.ReadCertificates)
	}
	return s.Job(ctx, g, id)
}

// job returns a job whose selection is within a permit.
func (s *Jobs) job(ctx context.Context, g access.Permit, permission access.Permission, id JobID) (*Job, error) {
	if err := g.CheckSome(permission); err != nil {
		return nil, err
	}
	j, err := s.cfg.Store.Job(ctx, g.Tenant(), id)
	if err != nil {
		return nil, err
	}
	if err := s.within(ctx, g, permission, j.Selection); err != nil {
		return nil, err
	}
	return j, nil
}

// within reports whether all that a selection selects is within a permit.
func (s *Jobs) within(ctx context.Context, g access.Permit, permission access.Permission, sel Selection) error {
	if g.Whole() || g.Covers(access.Scope{ProductLine: sel.ProductLine}) {
		return g.CheckSome(permission)
	}
	places, err := s.cfg.Store.PlacesOf(ctx, g.Tenant(), sel, maxPlaces)
	if err != nil {
		return err
	}
	if len(places) == 0 || len(places) == maxPlaces { // what cannot be told is for who has it all
		return g.Check(permission)
	}
	for _, p := range places {
		if err := g.CheckAt(permission, p); err != nil {
			return err
		}
	}
	return nil
}

// maxPlaces bounds the places that the certificates of a selection can be in for
// somebody who may not revoke everywhere.
const maxPlaces = 1000

// List returns up to limit jobs of the permit's tenant, newest first, with ids
// below before ("" from the newest).
func (s *Jobs) List(ctx context.Context, g access.Permit, before JobID, limit int) ([]*Job, error) {
	if err := g.CheckSome(access.ReadCertificates); err != nil {
		return nil, err
	}
	if err := checkPage(limit); err != nil {
		return nil, err
	}
	var seen []*Job
	for {
		all, err := s.cfg.Store.Jobs(ctx, g.Tenant(), before, limit)
		if err != nil {
			return nil, err
		}
		for _, j := range all {
			err := s.within(ctx, g, access.ReadCertificates, j.Selection)
			if err != nil && pki.KindOf(err) != pki.Forbidden {
				return nil, err
			}
			if err == nil {
				seen = append(seen, j)
			}
			if before = j.ID; len(seen) == limit {
				return seen, nil
			}
		}
		if len(all) < limit { // a page that the scope thins out is not the last
			return seen, nil
		}
	}
}

// Counts returns up to limit of a job's counts by issuer and shard, after the
// given one (zero from the first).
func (s *Jobs) Counts(ctx context.Context, g access.Permit, id JobID, after ShardCounts, limit int) ([]ShardCounts, error) {
	if _, err := s.job(ctx, g, access.ReadCertificates, id); err != nil {
		return nil, err
	}
	if err := checkPage(limit); err != nil {
		return nil, err
	}
	return s.cfg.Store.JobCounts(ctx, g.Tenant(), id, after, limit)
}

func checkPage(limit int) error {
	if limit < 1 || limit > maxJobPage {
		return pki.Errorf(pki.Malformed, "limit %d: from 1 to %d", limit, maxJobPage)
	}
	return nil
}

// watchEvery is how often Watch looks.
const watchEvery = 250 * time.Millisecond

// Watch yields the job now and after each change of its state or its counts, until
// it is Counted, Paused, Cancelled or Done, or ctx ends.
func (s *Jobs) Watch(ctx context.Context, g access.Permit, id JobID) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		var last Job
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			j, err := s.Job(ctx, g, id)
			if err != nil {
				yield(nil, err)
				return
			}
			if *j != last {
				if !yield(j, nil) {
					return
				}
				last = *j
			}
			if j.State != Counting && j.State != Running {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

func (s *Jobs) event(g access.Permit, verb string, j *Job, detail string) pki.Event {
	what := fmt.Sprintf("%s, reason %s", j.Selection, j.Reason)
	if detail != "" {
		what += ": " + detail
	}
	return pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "revocation." + verb, Target: "revocation:" + string(j.ID), Detail: what, Change: g.Change().ID}
}

// findings says what a job found so far; "" before it looked at anything.
func findings(j *Job) string {
	if j.Seen() == 0 {
		return ""
	}
	change := "changed"
	if !j.Ran() {
		change = "to change"
	}
	suspended := ""
	if j.Suspended > 0 {
		suspended = fmt.Sprintf(" %d on hold with a suspended device or by their lender,", j.Suspended)
	}
	return fmt.Sprintf("%s, of which %d good, %d on hold,%s %d revoked before and %d expired; %d %s",
		pki.Count(j.Seen(), "certificate"), j.Good, j.Held, suspended, j.Revoked, j.Expired, j.Changed(j.Reason), change)
}

func (s *Jobs) awaken() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
