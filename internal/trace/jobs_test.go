package trace_test

import (
	"context"
	"crypto/x509/pkix"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/trace"
)

// TestTraceJobs: of entries that jobs made the jobs are told, with what they selected, who
// created them and their events; to who may not see all that they select, their ids alone.
func TestTraceJobs(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	ctx := t.Context()
	grant := func(p access.Permission) access.Permit { return s.Permit(t, "acme", p) }
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var c *pki.Certificate
	for device, line := range map[string]string{"SM-1": "meters", "GW-1": "gateways"} {
		got, err := s.Enroll.Enroll(ctx, enroll.Request{Grant: grant(access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST, Subject: enroll.Subject{
			CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device}), Placement: pki.Placement{ProductLine: line}}})
		ok(err)
		if device == "SM-1" {
			c = got.Certificate
		}
	}
	run := func(sel revocation.Selection, reason pki.Reason) revocation.JobID {
		j, _, err := s.RevocationJobs.Create(ctx, grant(access.Revoke), revocation.NewJob{Selection: sel, Reason: reason})
		ok(err)
		for _, err := range s.RevocationJobs.Watch(ctx, grant(access.ReadCertificates), j.ID) {
			ok(err)
		}
		return j.ID
	}
	held := run(revocation.Selection{ProductLine: "meters"}, pki.CertificateHold)
	released := run(revocation.Selection{Issuer: c.Issuer}, pki.RemoveFromCRL)
	_, err := s.Revocation.Revoke(ctx, grant(access.Revoke), c.Issuer, c.Serial, pki.Superseded)
	ok(err)

	of := func(scopes ...access.Scope) access.Permit {
		g, err := access.Principal{Tenant: "acme", ID: "token:1", Grants: access.Given(access.Auditor, scopes...)}.Authorize(access.ReadCertificates, "acme")
		ok(err)
		return g
	}
	both := of(access.Scope{ProductLine: "meters"}, access.Scope{ProductLine: "gateways"})
	if _, err := s.RevocationJobs.Job(ctx, both, released); err != nil {
		t.Errorf("a job is not shown to who may see all that it selects: %v", err)
	}
	for _, test := range []struct {
		name   string
		permit access.Permit
		jobs   []revocation.JobID
		events []string // newest first
	}{
		{"all", grant(access.ReadCertificates), []revocation.JobID{released, held},
			[]string{"certificate.revoke", "revocation.done", "revocation.start", "revocation.done", "revocation.start"}},
		{"one product line", of(access.Scope{ProductLine: "meters"}), []revocation.JobID{held}, nil},
		{"all lines, by themselves: what the issuer selects is not looked through", both, []revocation.JobID{held}, nil},
	} {
		got, err := s.Trace.Trace(ctx, test.permit, "", c.Serial.String())
		ok(err)
		var made, jobs []revocation.JobID
		for _, e := range got.Entries {
			if made = append(made, e.Job); e.Unknown {
				t.Errorf("%s: what made entry %d is not known", test.name, e.N)
			}
		}
		for _, j := range got.Jobs {
			if jobs = append(jobs, j.ID); j.By != "token:test (test)" || j.Selection == (revocation.Selection{}) || j.Approved != nil {
				t.Errorf("%s: %+v", test.name, j)
			}
		}
		var events []string
		for _, e := range got.Events {
			if e.Target != "device:SM-1" {
				events = append(events, e.Action)
			}
		}
		if diff := cmp.Diff([]revocation.JobID{held, released, ""}, made); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if diff := cmp.Diff(test.jobs, jobs); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if diff := cmp.Diff(test.events, events); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// jobs made each entry of the shared certificate, many times over, by approval.
type jobs struct{ shared }

func (jobs) Entries(context.Context, pki.TenantID, pki.IssuerID, pki.Serial) (all []trace.Entry, err error) {
	for n := range 60 { // two of each job
		all = append(all, trace.Entry{Revocation: pki.Revocation{N: n + 1}, Job: revocation.JobID(rune('A' + n/2))})
	}
	return all, nil
}

func (jobs) Glance(_ context.Context, _ access.Permit, id revocation.JobID) (*revocation.Job, error) {
	return &revocation.Job{ID: id}, nil
}

func (jobs) EventsOn(_ context.Context, _ pki.TenantID, targets []string, _ int) ([]pki.Event, error) {
	return []pki.Event{{Action: "revocation.pause"}, {Action: "revocation.count", Target: targets[0], Change: "by " + pki.ChangeID(targets[0])}}, nil
}

func (jobs) Change(_ context.Context, _ pki.TenantID, id pki.ChangeID) (*approval.Change, error) {
	return &approval.Change{ID: id}, nil
}

// TestTraceApprovedJobs: by which change a job runs is told to who may read approvals, and
// of many jobs the newest are told.
func TestTraceApprovedJobs(t *testing.T) {
	s := trace.New(trace.Config{Registry: jobs{}, Chains: jobs{}, Store: jobs{}, Jobs: jobs{}})
	for role, reads := range map[access.Role]bool{access.Auditor: true, access.FactoryOperator: false} {
		g, err := access.Principal{Tenant: "maker", ID: "token:2", Grants: access.Given(role)}.Authorize(access.ReadCertificates, "maker")
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Trace(t.Context(), g, "", "01")
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Jobs) != 20 || got.Jobs[0].ID != "^" || slices.ContainsFunc(got.Jobs, func(j trace.Job) bool {
			return (j.Approved != nil) != reads || reads && j.Approved.ID != "by revocation:"+pki.ChangeID(j.ID)
		}) {
			t.Errorf("%s: %+v", role, got.Jobs)
		}
	}
}
