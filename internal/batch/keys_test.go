package batch_test

import (
	"bytes"
	"crypto/x509/pkix"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// berlin and munich are where pro devices are made.
var (
	berlin = access.Scope{ProductLine: "pro", Site: "berlin"}
	munich = access.Scope{ProductLine: "pro", Site: "munich"}
)

// part returns what a token may do with a role on some scopes, none being the tenant.
func part(t testing.TB, p access.Permission, id string, role access.Role, scopes ...access.Scope) access.Permit {
	t.Helper()
	g, err := access.Principal{Tenant: "acme", ID: id, Grants: access.Given(role, scopes...)}.Authorize(p, "acme")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func at(n batch.Submission, where access.Scope) batch.Submission {
	n.Endpoint, n.Format = "meter", batch.PEM
	n.Defaults.ProductLine, n.Defaults.Site = where.ProductLine, where.Site
	return n
}

// breakOff submits all of a file but its end.
func breakOff(t testing.TB, s *stack.Stack, g access.Permit, n batch.Submission, csrs []byte) {
	t.Helper()
	_, err := s.Batch.Submit(t.Context(), g, n, io.MultiReader(bytes.NewReader(csrs[:len(csrs)-100]), failing{errors.New("connection reset")}))
	if pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "broke off") {
		t.Fatalf("a broken upload: %v", err)
	}
}

// newest returns the newest batch.
func newest(t testing.TB, s *stack.Stack) *batch.Batch {
	t.Helper()
	all, err := s.Batch.Batches(t.Context(), s.Permit(t, "acme", access.ReadBatches), "", 1)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d batches, %v", len(all), err)
	}
	return all[0]
}

// acts returns the events of a batch, the last first, as "create by token:0abc".
func acts(t testing.TB, s *stack.Stack, id pki.BatchID) (all []string) {
	t.Helper()
	events, _, err := s.Store.Events(t.Context(), "acme", hierarchy.EventFilter{Target: "batch:" + string(id)}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		all = append(all, strings.TrimPrefix(e.Action, "batch.")+" by "+e.Actor)
	}
	return all
}

// taken wants the conflict of a key that belongs to a batch, which is named or not.
func taken(t testing.TB, what string, err error, b *batch.Batch, named bool) {
	t.Helper()
	if pki.KindOf(err) != pki.Conflict || !strings.Contains(pki.DetailOf(err), "the idempotency key") || strings.Contains(pki.DetailOf(err), string(b.ID)) != named {
		t.Errorf("%s: %v, want a conflict that names batch %s: %t", what, err, b.ID, named)
	}
}

// TestBrokenUploadOfAnother: nobody goes on with another's upload, nor ends it, by its
// idempotency key: its rows would be enrolled as the other's. Its submitter goes on with it.
func TestBrokenUploadOfAnother(t *testing.T) {
	s := newStack(t, stack.Config{})
	admin := s.Permit(t, "acme", access.ManageBatches)
	own, foreign := pandotest.PEMRequests(t, "SM-", 3).Bytes(), pandotest.PEMRequests(t, "P-", 3).Bytes()
	for what, state := range map[string]batch.State{"broken": batch.Uploading, "cancelled": batch.Cancelled} {
		n := at(batch.Submission{DryRun: true, Idempotency: "tkt-" + what}, berlin)
		breakOff(t, s, admin, n, own)
		b := newest(t, s)
		if state == batch.Cancelled {
			if _, err := s.Batch.Cancel(t.Context(), admin, b.ID); err != nil {
				t.Fatal(err)
			}
		}
		before := acts(t, s, b.ID)
		elsewhere := n
		elsewhere.Defaults.Lot = "lot-up"
		for _, other := range []struct {
			name  string
			g     access.Permit
			n     batch.Submission
			named bool
		}{
			{"partner", part(t, access.ManageBatches, "token:partner", access.OEMPartner, berlin), n, false},
			{"partner, with a lot", part(t, access.ManageBatches, "token:partner", access.OEMPartner, berlin), elsewhere, false},
			{"partner, elsewhere", part(t, access.ManageBatches, "token:partner", access.OEMPartner, munich), n, false},
			{"factory", part(t, access.ManageBatches, "token:factory", access.FactoryOperator, access.Scope{}), n, true},
		} {
			_, err := s.Batch.Submit(t.Context(), other.g, other.n, bytes.NewReader(foreign))
			taken(t, what+", by "+other.name, err, b, other.named)
		}
		if got := newest(t, s); got.ID != b.ID || got.State != state {
			t.Errorf("%s: then batch %s is %s", what, got.ID, got.State)
		}
		if diff := cmp.Diff(before, acts(t, s, b.ID)); diff != "" {
			t.Errorf("%s: others left events (-before +after):\n%s", what, diff)
		}
		got, err := s.Batch.Submit(t.Context(), admin, n, bytes.NewReader(own))
		if err != nil || got.ID != b.ID {
			t.Fatalf("%s: its submitter goes on: %v, %v", what, got, err)
		}
		if b = rest(t, s, b.ID); b.State != batch.Checked || b.Rows != 3 || b.By != admin.Actor() {
			t.Errorf("%s: %+v", what, b)
		}
	}
}

// TestUploadGoesOnWithWhatIsLeft: who goes on with an upload has the scopes of now, not those
// with which it began.
func TestUploadGoesOnWithWhatIsLeft(t *testing.T) {
	s := newStack(t, stack.Config{})
	n := at(batch.Submission{DryRun: true, Idempotency: "once"}, berlin)
	csrs := pandotest.PEMRequests(t, "SM-", 3).Bytes()
	breakOff(t, s, part(t, access.ManageBatches, "token:0abc", access.FactoryOperator, access.Scope{}), n, csrs)
	now := []access.Scope{{Site: "berlin"}}
	b, err := s.Batch.Submit(t.Context(), part(t, access.ManageBatches, "token:0abc", access.FactoryOperator, now...), n, bytes.NewReader(csrs))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(now, rest(t, s, b.ID).Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
}

// TestReplayIsShownToReaders: a batch that is there is shown, or named, under its key to
// those who may read it, and to its submitter as long as they have what they had.
func TestReplayIsShownToReaders(t *testing.T) {
	s := newStack(t, stack.Config{})
	n := at(batch.Submission{Idempotency: "order 1"}, access.Scope{ProductLine: "pro"}) // at no site
	csrs := pandotest.PEMRequests(t, "SM-", 3).Bytes()
	sites := []access.Scope{{Site: "berlin"}, {ProductLine: "pro"}}
	b, err := s.Batch.Submit(t.Context(), part(t, access.ManageBatches, "token:0abc", access.FactoryOperator, sites...), n, bytes.NewReader(csrs))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	dry, other := n, n
	dry.DryRun, other.Defaults.Lot = true, "lot-2"
	for _, test := range []struct {
		name, id string
		role     access.Role
		scopes   []access.Scope
		shown    bool
	}{
		{"its submitter", "token:0abc", access.FactoryOperator, sites, true},
		{"its submitter, with less", "token:0abc", access.FactoryOperator, []access.Scope{{Site: "berlin"}}, false},
		{"a reader", "token:0def", access.FactoryOperator, []access.Scope{{ProductLine: "pro"}}, true},
		{"somebody elsewhere", "token:0def", access.OEMPartner, []access.Scope{berlin}, false},
	} {
		g := part(t, access.ManageBatches, test.id, test.role, test.scopes...)
		got, err := s.Batch.Submit(t.Context(), g, n, bytes.NewReader(csrs))
		if test.shown && (err != nil || got.ID != b.ID) {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
		if !test.shown {
			taken(t, test.name, err, b, false)
		}
		for what, n := range map[string]batch.Submission{"a dry run": dry, "another lot": other} {
			_, err := s.Batch.Submit(t.Context(), g, n, bytes.NewReader(csrs))
			taken(t, test.name+", "+what, err, b, test.shown)
		}
	}
}

// TestKeysOfRetries: the same of retries, whose key the command line makes of the batch.
func TestKeysOfRetries(t *testing.T) {
	s := newStack(t, stack.Config{})
	admin := s.Permit(t, "acme", access.ManageBatches)
	of, err := s.Batch.Submit(t.Context(), admin, at(batch.Submission{}, berlin), bytes.NewReader(file(t, batch.PEM, []string{""}, [][]byte{[]byte("no request")})))
	if err != nil {
		t.Fatal(err)
	}
	if of = rest(t, s, of.ID); of.Refused != 1 {
		t.Fatalf("%+v", of)
	}
	made, err := s.Batch.Retry(t.Context(), admin, of.ID, nil, "retry")
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, made.ID)
	partner := part(t, access.ManageBatches, "token:partner", access.OEMPartner, berlin)
	if got, err := s.Batch.Retry(t.Context(), partner, of.ID, nil, "retry"); err != nil || got.ID != made.ID {
		t.Errorf("who may read the retry: %v, %v", got, err)
	}
	n := at(batch.Submission{Idempotency: "upload"}, munich)
	breakOff(t, s, admin, n, pandotest.PEMRequests(t, "SM-", 3).Bytes())
	_, err = s.Batch.Retry(t.Context(), partner, made.ID, nil, "upload")
	taken(t, "under the key of an upload", err, newest(t, s), false)
}

// TestIssueOfAnother: rows are held against where their submitter may enrol, so that nobody
// has them issued who may not enrol as much, nor their submitter with less than then.
func TestIssueOfAnother(t *testing.T) {
	s := newStack(t, stack.Config{})
	_, err := s.Enroll.Enroll(t.Context(), enroll.Request{Grant: s.Permit(t, "acme", access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-0"}), Placement: pki.Placement{ProductLine: munich.ProductLine, Site: munich.Site}}})
	if err != nil {
		t.Fatal(err)
	}
	admin := s.Permit(t, "acme", access.ManageBatches)
	b, err := s.Batch.Submit(t.Context(), admin, at(batch.Submission{DryRun: true}, berlin), pandotest.PEMRequests(t, "SM-", 1)) // SM-0 moves
	if err != nil {
		t.Fatal(err)
	}
	if b = rest(t, s, b.ID); b.Refused != 0 {
		t.Fatalf("%+v", b)
	}
	_, err = s.Batch.Issue(t.Context(), part(t, access.ManageBatches, "token:partner", access.OEMPartner, berlin), b.ID)
	r, ok := errors.AsType[*access.Refusal](err)
	if !ok || r.Scope != (access.Scope{}) {
		t.Errorf("a partner issues a device from elsewhere: %v", err)
	}
	if _, err := s.Batch.Issue(t.Context(), part(t, access.ManageBatches, "token:line", access.FactoryOperator, access.Scope{Endpoint: "meter"}), b.ID); err != nil {
		t.Errorf("whoever may at the whole endpoint: %v", err)
	}
	if b = rest(t, s, b.ID); b.Issued != 1 {
		t.Errorf("%+v", b)
	}
}

// TestScopesElsewhere: what a submitter might do where the batch is not is wanted of nobody,
// neither to be shown it under its key nor to issue it.
func TestScopesElsewhere(t *testing.T) {
	s := newStack(t, stack.Config{})
	permit := func(scopes ...access.Scope) access.Permit {
		grants := access.Given("submits", scopes...)
		for i := range grants {
			grants[i].Own = []access.Permission{access.ManageBatches}
		}
		g, err := access.Principal{Tenant: "acme", ID: "token:0abc", Grants: grants}.Authorize(access.ManageBatches, "acme")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	n := at(batch.Submission{DryRun: true, Idempotency: "order 1"}, berlin)
	csrs := pandotest.PEMRequests(t, "SM-", 1).Bytes()
	b, err := s.Batch.Submit(t.Context(), permit(berlin, access.Scope{Endpoint: "gateway"}), n, bytes.NewReader(csrs))
	if err != nil {
		t.Fatal(err)
	}
	rest(t, s, b.ID)
	if got, err := s.Batch.Submit(t.Context(), permit(berlin), n, bytes.NewReader(csrs)); err != nil || got.ID != b.ID {
		t.Errorf("under its key: %v, %v", got, err)
	}
	if _, err := s.Batch.Issue(t.Context(), permit(berlin), b.ID); err != nil {
		t.Errorf("by the order to issue it: %v", err)
	}
	if b = rest(t, s, b.ID); b.Issued != 1 {
		t.Errorf("%+v", b)
	}
}

// TestUploadAtTheSameMoment: the same request while the first is on its way, or is believed
// to be, is sent again later.
func TestUploadAtTheSameMoment(t *testing.T) {
	s := newStack(t, stack.Config{})
	n := batch.Submission{Idempotency: "once"}
	rows, sent := io.Pipe()
	ended := make(chan error)
	go func() {
		_, err := submit(t, s, n, rows)
		ended <- err
	}()
	csrs := pandotest.PEMRequests(t, "SM-", 2).Bytes()
	if _, err := sent.Write(csrs); err != nil {
		t.Fatal(err)
	}
	_, err := submit(t, s, n, bytes.NewReader(csrs))
	if e, ok := errors.AsType[*pki.Error](err); !ok || e.Kind != pki.Unavailable || e.RetryAfter <= 0 {
		t.Errorf("at the same moment: %v", err)
	}
	sent.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := submit(t, s, n, bytes.NewReader(csrs)); err != nil {
		t.Errorf("after its end: %v", err)
	}
}
