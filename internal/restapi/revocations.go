package restapi

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

type jobInput struct {
	Caller
	ID string `path:"id"`
}

type jobsInput struct {
	Caller
	NewestFirst
}

type jobCountsInput struct {
	Caller
	ID     string `path:"id"`
	Cursor string `query:"cursor" maxLength:"64" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type startJobInput struct {
	Caller
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"128" doc:"Makes the same request the same job, however often it is sent."`
	Body           client.NewRevocationJob
}

// startedJob is 201 with a new job, or 200 with that of the same request before.
type startedJob struct {
	Status int
	Body   client.RevocationJob
}

func (s *server) startRevocation(ctx context.Context, g access.Permit, in *startJobInput) (*startedJob, error) {
	reason := pki.RemoveFromCRL
	switch {
	case in.Body.Release && in.Body.Reason != "":
		return nil, pki.Errorf(pki.Malformed, "a release has no reason: say one of the two")
	case !in.Body.Release:
		var err error
		if reason, err = pki.ParseReason(in.Body.Reason); err != nil {
			return nil, err
		}
	}
	by := in.Body.RevocationSelection
	j, existed, err := s.cfg.RevocationJobs.Create(ctx, g, revocation.NewJob{
		Selection: revocation.Selection{Device: pki.DeviceID(by.Device), Lot: by.Lot, ProductLine: by.ProductLine,
			Batch: pki.BatchID(by.Batch), Issuer: pki.IssuerID(by.Issuer)},
		Reason: reason, DryRun: in.Body.DryRun, Idempotency: in.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	out := &startedJob{http.StatusCreated, wireJob(j)}
	if existed {
		out.Status = http.StatusOK
	}
	return out, nil
}

func (s *server) listRevocations(ctx context.Context, g access.Permit, in *jobsInput) (*listOf[client.RevocationJob], error) {
	jobs, err := s.cfg.RevocationJobs.List(ctx, g, revocation.JobID(in.Before), in.Limit)
	if err != nil {
		return nil, err
	}
	next := ""
	if len(jobs) == in.Limit {
		next = string(jobs[len(jobs)-1].ID)
	}
	return each(jobs, next, wireJob), nil
}

// revocationCounts has pages that go on after "issuer/shard".
func (s *server) revocationCounts(ctx context.Context, g access.Permit, in *jobCountsInput) (*listOf[client.RevocationCount], error) {
	var after revocation.ShardCounts
	if in.Cursor != "" {
		issuer, shard, _ := strings.Cut(in.Cursor, "/")
		n, err := strconv.Atoi(shard)
		if err != nil || n < 0 || !pki.IsID(issuer) {
			return nil, pki.Errorf(pki.Malformed, "the cursor %.60q is not one that this list gave: take the next of the page before", in.Cursor)
		}
		after.Issuer, after.Shard = pki.IssuerID(issuer), n
	}
	id := revocation.JobID(in.ID)
	j, err := s.cfg.RevocationJobs.Job(ctx, g, id)
	if err != nil {
		return nil, err
	}
	counts, err := s.cfg.RevocationJobs.Counts(ctx, g, id, after, in.Limit)
	if err != nil {
		return nil, err
	}
	next := ""
	if len(counts) == in.Limit {
		last := counts[len(counts)-1]
		next = string(last.Issuer) + "/" + strconv.Itoa(last.Shard)
	}
	return each(counts, next, func(c revocation.ShardCounts) client.RevocationCount {
		return client.RevocationCount{Issuer: string(c.Issuer), Shard: c.Shard, RevocationCounts: wireCounts(j, c.Counts)}
	}), nil
}

func (s *server) getRevocation(ctx context.Context, g access.Permit, in *jobInput) (*answer[client.RevocationJob], error) {
	return jobAnswer(s.cfg.RevocationJobs.Job(ctx, g, revocation.JobID(in.ID)))
}

func (s *server) runRevocation(ctx context.Context, g access.Permit, in *jobInput) (*answer[client.RevocationJob], error) {
	return jobAnswer(s.cfg.RevocationJobs.Begin(ctx, g, revocation.JobID(in.ID)))
}

func (s *server) pauseRevocation(ctx context.Context, g access.Permit, in *jobInput) (*answer[client.RevocationJob], error) {
	return jobAnswer(s.cfg.RevocationJobs.Pause(ctx, g, revocation.JobID(in.ID)))
}

func (s *server) resumeRevocation(ctx context.Context, g access.Permit, in *jobInput) (*answer[client.RevocationJob], error) {
	return jobAnswer(s.cfg.RevocationJobs.Resume(ctx, g, revocation.JobID(in.ID)))
}

func (s *server) cancelRevocation(ctx context.Context, g access.Permit, in *jobInput) (*answer[client.RevocationJob], error) {
	return jobAnswer(s.cfg.RevocationJobs.Cancel(ctx, g, revocation.JobID(in.ID)))
}

func jobAnswer(j *revocation.Job, err error) (*answer[client.RevocationJob], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.RevocationJob]{wireJob(j)}, nil
}

// watchRevocation serves GET /revocations/{id}/events.
func (s *server) watchRevocation(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	var rate meter
	return watch(s, w, r, s.cfg.RevocationJobs.Watch(r.Context(), g, revocation.JobID(r.PathValue("id"))), func(j *revocation.Job) client.RevocationJob {
		now := wireJob(j)
		if j.State == revocation.Done {
			now.Rate = overall(j.Seen(), j.Started, j.Finished)
		} else {
			now.Rate = rate.observe(j.Seen(), time.Now())
		}
		return now
	})
}

func watchRevocationDoc() document {
	return document{
		id: "watch-revocation", summary: "Watch a revocation job",
		description: "Server-sent events: of type progress, now and at each change of the job's counts or state, and at last one of type end, when the job is at rest. The data of each is the job.",
		status:      http.StatusOK,
		response:    []media{{mediaEvents, reflect.TypeFor[client.RevocationJob]()}},
	}
}

func wireJob(j *revocation.Job) client.RevocationJob {
	out := client.RevocationJob{
		ID: string(j.ID), DryRun: j.DryRun, State: string(j.State), By: j.By, Created: j.Created, Started: j.Started, Finished: j.Finished,
		RevocationSelection: client.RevocationSelection{Device: string(j.Selection.Device), Lot: j.Selection.Lot,
			ProductLine: j.Selection.ProductLine, Batch: string(j.Selection.Batch), Issuer: string(j.Selection.Issuer)},
		Total: j.Total, RevocationCounts: wireCounts(j, j.Counts),
	}
	if out.Release = j.Reason == pki.RemoveFromCRL; !out.Release {
		out.Reason = j.Reason.String()
	}
	return out
}

func wireCounts(j *revocation.Job, c revocation.Counts) client.RevocationCounts {
	out := client.RevocationCounts{Good: c.Good, Held: c.Held, Suspended: c.Suspended, Revoked: c.Revoked, Expired: c.Expired}
	if j.Ran() {
		out.Changed = c.Changed(j.Reason)
	} else {
		out.ToChange = c.Changed(j.Reason)
	}
	return out
}
