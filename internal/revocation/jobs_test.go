package revocation_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// A fakeJobs keeps jobs that have a number of steps, whose outcomes a test sets.
type fakeJobs struct {
	revocation.JobStore // a method that no test expects panics
	mu                  sync.Mutex
	jobs                []*revocation.Job
	left                map[revocation.JobID]int
	faults              map[revocation.JobID][]error // of the next steps
	steps               []revocation.JobID           // that were taken
	events              []pki.Event
}

func (f *fakeJobs) CreateJob(_ context.Context, j *revocation.Job, e pki.Event) (*revocation.Job, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, has := range f.jobs {
		if j.Idempotency != "" && has.Idempotency == j.Idempotency {
			return has, true, nil
		}
	}
	f.jobs = append(f.jobs, j)
	f.events = append(f.events, e)
	return j, false, nil
}

func (f *fakeJobs) PlacesOf(context.Context, pki.TenantID, revocation.Selection, int) ([]access.Scope, error) {
	return nil, nil
}

func (f *fakeJobs) find(tenant pki.TenantID, id revocation.JobID) (*revocation.Job, error) {
	for _, j := range f.jobs {
		if j.ID == id && j.Tenant == tenant {
			return j, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "no job")
}

func (f *fakeJobs) Job(_ context.Context, tenant pki.TenantID, id revocation.JobID) (*revocation.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, err := f.find(tenant, id)
	if err != nil {
		return nil, err
	}
	read := *j
	return &read, nil
}

func (f *fakeJobs) ActiveJobs(context.Context) (active []*revocation.Job, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		if j.State == revocation.Running || j.State == revocation.Counting {
			read := *j
			active = append(active, &read)
		}
	}
	return active, nil
}

func (f *fakeJobs) MoveJob(_ context.Context, tenant pki.TenantID, id revocation.JobID, m revocation.JobMove, e pki.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, err := f.find(tenant, id)
	if err != nil {
		return err
	}
	if !slices.Contains(m.From, j.State) {
		return pki.Errorf(pki.Conflict, "the job is %s", j.State)
	}
	if j.State = m.To; m.To == revocation.Running && !j.Ran() {
		j.Started = m.At
	}
	f.events = append(f.events, e)
	return nil
}

func (f *fakeJobs) AdvanceJob(_ context.Context, tenant pki.TenantID, id revocation.JobID, _ time.Time, limit int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps = append(f.steps, id)
	if faults := f.faults[id]; len(faults) > 0 {
		f.faults[id] = faults[1:]
		return false, faults[0]
	}
	f.left[id]--
	j, err := f.find(tenant, id)
	if err == nil {
		j.Good += int64(limit)
	}
	return f.left[id] <= 0, err
}

// free is a gate that has nothing wait.
type free struct{ revocation.Gate }

func (free) Share(context.Context, pki.TenantID) (int, bool, error) { return 0, false, nil }

func newJobs(t *testing.T) (*revocation.Jobs, *fakeJobs) {
	v := revocationtest.New(t, 1)
	f := &fakeJobs{left: make(map[revocation.JobID]int), faults: make(map[revocation.JobID][]error)}
	return revocation.NewJobs(revocation.JobsConfig{Store: f, VA: v.Service, Gate: free{}, Now: v.Clock.Now, Log: slog.New(slog.DiscardHandler)}), f
}

func TestJobRequests(t *testing.T) {
	jobs, f := newJobs(t)
	grant := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	lot := revocation.Selection{Lot: "7"}
	for name, test := range map[string]struct {
		grant access.Permit
		job   revocation.NewJob
		want  pki.Kind
	}{
		"no grant":                    {access.Permit{}, revocation.NewJob{Selection: lot}, pki.Forbidden},
		"a grant to read":             {revocationtest.Permit(t, revocationtest.Tenant, access.ReadCertificates), revocation.NewJob{Selection: lot}, pki.Forbidden},
		"nothing selected":            {grant, revocation.NewJob{}, pki.Malformed},
		"two selectors":               {grant, revocation.NewJob{Selection: revocation.Selection{Lot: "7", Device: "d"}}, pki.Malformed},
		"a reason that is none":       {grant, revocation.NewJob{Selection: lot, Reason: 7}, pki.Malformed},
		"a long name":                 {grant, revocation.NewJob{Selection: revocation.Selection{Lot: strings.Repeat("7", 129)}}, pki.Malformed},
		"a long idempotency key":      {grant, revocation.NewJob{Selection: lot, Idempotency: strings.Repeat("k", 129)}, pki.Malformed},
		"a key of another request":    {grant, revocation.NewJob{Selection: lot, Reason: pki.Superseded, Idempotency: "once"}, pki.Conflict},
		"a key of another selection":  {grant, revocation.NewJob{Selection: revocation.Selection{Lot: "8"}, Idempotency: "once"}, pki.Conflict},
		"a key of one that only runs": {grant, revocation.NewJob{Selection: lot, Idempotency: "once", DryRun: true}, pki.Conflict},
	} {
		if _, _, err := jobs.Create(t.Context(), grant, revocation.NewJob{Selection: lot, Idempotency: "once"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := jobs.Create(t.Context(), test.grant, test.job); err == nil || pki.KindOf(err) != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if len(f.jobs) != 1 || len(f.events) != 1 {
		t.Errorf("%d jobs and %d events, want one of each", len(f.jobs), len(f.events))
	}
	id := f.jobs[0].ID
	for _, stranger := range []access.Permit{{}, revocationtest.Permit(t, "other", access.Revoke), revocationtest.Permit(t, revocationtest.Tenant, access.ReadCertificates)} {
		want := pki.Forbidden
		if stranger.Tenant() == "other" {
			want = pki.NotFound
		}
		for name, order := range map[string]func(context.Context, access.Permit, revocation.JobID) (*revocation.Job, error){
			"begin": jobs.Begin, "pause": jobs.Pause, "resume": jobs.Resume, "cancel": jobs.Cancel} {
			if _, err := order(t.Context(), stranger, id); pki.KindOf(err) != want {
				t.Errorf("%s by a stranger: %v, want %s", name, err, want)
			}
		}
	}
	if _, err := jobs.Job(t.Context(), grant, id); pki.KindOf(err) != pki.Forbidden {
		t.Errorf("read with another grant: %v", err)
	}
	if _, err := jobs.Counts(t.Context(), revocationtest.Permit(t, revocationtest.Tenant, access.ReadCertificates), id, revocation.ShardCounts{}, 1001); pki.KindOf(err) != pki.Malformed {
		t.Errorf("a page of 1001: %v", err)
	}
}

// TestKeyOfAnotherJob: what job an idempotency key belongs to is told and shown to those who
// may read that.
func TestKeyOfAnotherJob(t *testing.T) {
	jobs, _ := newJobs(t)
	create := func(id, line string, grants []access.Grant) (*revocation.Job, error) {
		who := access.Principal{Tenant: revocationtest.Tenant, ID: id, Grants: grants}
		g, err := who.Authorize(access.Revoke, revocationtest.Tenant)
		if err != nil {
			t.Fatal(err)
		}
		j, _, err := jobs.Create(t.Context(), g, revocation.NewJob{Selection: revocation.Selection{ProductLine: line}, Idempotency: "once"})
		return j, err
	}
	home, pro := access.Scope{ProductLine: "home"}, access.Scope{ProductLine: "pro"}
	j, err := create("token:0abc", "home", access.Given(access.RAOperator, home))
	if err != nil {
		t.Fatal(err)
	}
	for named, scopes := range map[bool][]access.Scope{true: {home, pro}, false: {pro}} {
		_, err := create("token:0abc", "pro", access.Given(access.RAOperator, scopes...))
		if pki.KindOf(err) != pki.Conflict || strings.Contains(pki.DetailOf(err), string(j.ID)) != named {
			t.Errorf("on %s: %v, want a conflict that names the job: %t", access.ScopesText(scopes), err, named)
		}
	}

	revokes := access.Given("revokes")
	revokes[0].Own = []access.Permission{access.Revoke}
	if _, err := create("token:other", "home", revokes); pki.KindOf(err) != pki.Conflict || strings.Contains(pki.DetailOf(err), string(j.ID)) {
		t.Errorf("the same request of who may not read: %v", err)
	}
	for id, grants := range map[string][]access.Grant{"token:0abc": revokes, "token:other": access.Given(access.RAOperator, home)} {
		if got, err := create(id, "home", grants); err != nil || got.ID != j.ID {
			t.Errorf("the same request of %s: %v", id, err)
		}
	}
}

// TestJobLife takes a job from its dry run to its end and looks at what it leaves
// in the log of acts.
func TestJobLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs, f := newJobs(t)
		go jobs.Run(t.Context())
		grant, read := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke), revocationtest.Permit(t, revocationtest.Tenant, access.ReadCertificates)
		j, existed, err := jobs.Create(t.Context(), grant, revocation.NewJob{Selection: revocation.Selection{Lot: "7"}, Reason: pki.CertificateHold, DryRun: true})
		if err != nil || existed {
			t.Fatal(existed, err)
		}
		watch := func() (states []revocation.JobState) {
			for j, err := range jobs.Watch(t.Context(), read, j.ID) {
				if err != nil {
					t.Fatal(err)
				}
				states = append(states, j.State)
			}
			return states
		}
		if states := watch(); states[len(states)-1] != revocation.Counted {
			t.Errorf("a dry run's states: %v", states)
		}
		if _, err := jobs.Resume(t.Context(), grant, j.ID); pki.KindOf(err) != pki.Conflict {
			t.Errorf("resumed without a pause: %v", err)
		}
		for range 2 { // the second finds it so
			if got, err := jobs.Begin(t.Context(), grant, j.ID); err != nil || got.State != revocation.Running && got.State != revocation.Done {
				t.Fatal(got, err)
			}
		}
		if states := watch(); states[len(states)-1] != revocation.Done {
			t.Errorf("its states: %v", states)
		}
		var acts []string
		for _, e := range f.events {
			if e.Target != "revocation:"+string(j.ID) || !strings.HasPrefix(e.Detail, `lot "7", reason certificateHold`) {
				t.Errorf("event %+v", e)
			}
			acts = append(acts, e.Action)
		}
		want := []string{"revocation.count", "revocation.counted", "revocation.start", "revocation.done"}
		if !slices.Equal(acts, want) {
			t.Errorf("events %v, want %v", acts, want)
		}
		if last := f.events[len(f.events)-1].Detail; !strings.Contains(last, "4000 certificates, of which 4000 good, 0 on hold, 0 revoked before and 0 expired; 4000 changed") {
			t.Errorf("the last event says %q", last)
		}
	})
}

// TestJobsTakeTurns: a job that fails is tried again, later each time, and neither
// that nor a long one holds up the others.
func TestJobsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs, f := newJobs(t)
		grant := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
		create := func(steps int, faults ...error) revocation.JobID {
			j, _, err := jobs.Create(t.Context(), grant, revocation.NewJob{Selection: revocation.Selection{Lot: "7"}})
			if err != nil {
				t.Fatal(err)
			}
			f.left[j.ID], f.faults[j.ID] = steps, faults
			return j.ID
		}
		broken := create(1, errors.New("the disk is full"), errors.New("still"), pki.Errorf(pki.Conflict, "stopped"))
		long, short := create(50), create(2)
		go jobs.Run(t.Context())
		taken := func(id revocation.JobID) (n int) {
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, step := range f.steps {
				if step == id {
					n++
				}
			}
			return n
		}
		if l, s, b := taken(long), taken(short), taken(broken); l != 50 || s != 2 || b != 1 {
			t.Errorf("%d steps of 50, %d of 2, and %d of one that failed", l, s, b)
		}
		if at := slices.Index(f.steps, short); at < 0 || at > 3 {
			t.Errorf("the short job's first step was number %d", at)
		}
		for _, step := range []struct {
			passed time.Duration
			tries  int
		}{{900 * time.Millisecond, 1}, {time.Second, 2}, {time.Second, 2}, {3 * time.Second, 4}} {
			time.Sleep(step.passed)
			if got := taken(broken); got != step.tries {
				t.Errorf("%d tries of the one that failed, want %d", got, step.tries)
			}
		}
		if j, err := f.Job(t.Context(), revocationtest.Tenant, broken); err != nil || j.State != revocation.Done {
			t.Errorf("in the end it is %s, %v", j.State, err)
		}
	})
}

// TestJobsAreFairByTenant: the many jobs of one tenant do not slow down another's.
func TestJobsAreFairByTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs, f := newJobs(t)
		create := func(tenant pki.TenantID, steps int) revocation.JobID {
			j, _, err := jobs.Create(t.Context(), revocationtest.Permit(t, tenant, access.Revoke), revocation.NewJob{Selection: revocation.Selection{Lot: "7"}})
			if err != nil {
				t.Fatal(err)
			}
			f.left[j.ID] = steps
			return j.ID
		}
		for range 50 {
			create("many", 20)
		}
		one := create("one", 10)
		go jobs.Run(t.Context())
		synctest.Wait()
		last := 0
		for n, step := range f.steps {
			if step == one {
				last = n
			}
		}
		if last == 0 || last > 20 {
			t.Errorf("the ten steps of a tenant's one job were through after %d steps, beside another's 50 jobs", last)
		}
	})
}
