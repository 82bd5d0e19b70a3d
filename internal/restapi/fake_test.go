package restapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

// fakeServices is what the fakes answer with.
type fakeServices struct {
	tokens      map[string]access.Principal
	enrolled    func(enroll.Request) (*pki.Enrollment, error)
	authority   func(string) (*hierarchy.View, error)
	certificate *pki.Certificate // the only one
	submitted   func(batch.Submission, io.Reader) (*batch.Batch, error)
	results     iter.Seq2[batch.Result, error]
	watched     iter.Seq2[*batch.Batch, error]
	revoked     map[pki.Serial]pki.Reason
	search      func(registry.Query, registry.Paging) (*registry.Certificates, error)
	alarms      *alarm.Board
	looked      atomic.Int64 // proofs that were looked at
}

// The fakes embed what they stand for: a method that no test expects panics.
type (
	fakeTokens struct {
		Tokens
		f *fakeServices
	}
	fakeHierarchy struct {
		Hierarchy
		f *fakeServices
	}
	enrollMethods = Enroll // aliases, so that the embedded field is not called as a method is
	fakeEnroll    struct {
		enrollMethods
		f *fakeServices
	}
	batchMethods = Batch
	fakeBatch    struct {
		batchMethods
		f *fakeServices
	}
	registryMethods = Registry
	fakeRegistry    struct {
		registryMethods
		f *fakeServices
	}
	fakeStatus struct{ f *fakeServices }
)

func (t fakeTokens) Authenticate(_ context.Context, text pki.Secret) (access.Principal, error) {
	t.f.looked.Add(1)
	if who, ok := t.f.tokens[text.Reveal()]; ok {
		return who, nil
	}
	return access.Principal{}, pki.Errorf(pki.Unauthenticated, "the API token is not valid here")
}

func (h fakeHierarchy) Authority(_ context.Context, g access.Permit, name string) (*hierarchy.View, error) {
	if err := g.Check(access.ReadConfiguration); err != nil {
		return nil, err
	}
	return h.f.authority(name)
}

func (h fakeHierarchy) CheckSuspended(context.Context, pki.TenantID) error { return nil }

func (h fakeHierarchy) Authorities(context.Context, access.Permit) ([]*hierarchy.View, error) {
	return nil, nil
}

func (h fakeHierarchy) Profile(_ context.Context, g access.Permit, name string, version int) (*pki.ProfileVersion, error) {
	return &pki.ProfileVersion{ProfileRef: pki.ProfileRef{Tenant: g.Tenant(), Name: name, Version: version}, Hash: [32]byte{0xab}}, nil
}

func (e fakeEnroll) Enroll(_ context.Context, r enroll.Request) (*pki.Enrollment, error) {
	if err := r.Grant.Check(access.Enroll); err != nil {
		return nil, err
	}
	return e.f.enrolled(r)
}

func (fakeEnroll) NoteRefusal(_ context.Context, _ enroll.Refusal, err error) error { return err }

func (e fakeEnroll) Certificate(context.Context, access.Permit, pki.IssuerID, pki.Serial) (*pki.Certificate, error) {
	return e.f.certificate, nil
}

func (r fakeRegistry) Certificates(_ context.Context, _ access.Permit, q registry.Query, p registry.Paging) (*registry.Certificates, error) {
	return r.f.search(q, p)
}

func (fakeRegistry) ImportDevices(_ context.Context, _ access.Permit, _ registry.ImportFormat, _ pki.Placement, r io.Reader) (*registry.Import, error) {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, fmt.Errorf("reading an import: %w", err)
	}
	return new(registry.Import), nil
}

func (b fakeBatch) Submit(_ context.Context, g access.Permit, n batch.Submission, body io.Reader) (*batch.Batch, error) {
	if err := g.Check(access.ManageBatches); err != nil {
		return nil, err
	}
	return b.f.submitted(n, body)
}

func (b fakeBatch) Results(_ context.Context, _ access.Permit, _ pki.BatchID, after int64) iter.Seq2[batch.Result, error] {
	return func(yield func(batch.Result, error) bool) {
		for r, err := range b.f.results {
			if (err != nil || r.Row > after) && !yield(r, err) {
				return
			}
		}
	}
}

func (b fakeBatch) Archive(_ context.Context, _ access.Permit, _ pki.BatchID, after int64, w io.Writer) error {
	for r, err := range b.f.results {
		if err != nil {
			return err
		}
		if r.Row > after {
			if _, err := fmt.Fprintln(w, "entry", r.Row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b fakeBatch) Watch(context.Context, access.Permit, pki.BatchID) iter.Seq2[*batch.Batch, error] {
	return b.f.watched
}

func (s fakeStatus) Revoke(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial, reason pki.Reason) (revocation.Status, error) {
	if err := g.Check(access.Revoke); err != nil {
		return revocation.Status{}, err
	}
	if _, ok := s.f.revoked[serial]; ok {
		return revocation.Status{}, pki.Errorf(pki.AlreadyRevoked, "the certificate is revoked")
	}
	s.f.revoked[serial] = reason
	return s.Status(ctx, issuer, serial)
}

func (s fakeStatus) Release(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	if err := g.Check(access.Revoke); err != nil {
		return revocation.Status{}, err
	}
	if s.f.revoked[serial] != pki.CertificateHold {
		return revocation.Status{}, pki.Errorf(pki.Conflict, "the certificate is not on hold")
	}
	delete(s.f.revoked, serial)
	return s.Status(ctx, issuer, serial)
}

func (s fakeStatus) Lists(_ context.Context, g access.Permit, cursor string, limit int) ([]revocation.ListState, string, error) {
	list := revocation.ListState{List: revocation.List{Issuer: "issuer", Shard: 7}, Edition: revocation.Edition{Number: 3, ThisUpdate: day, NextUpdate: day.AddDate(0, 0, 1)}, Pending: true}
	return []revocation.ListState{list}, "", g.Check(access.ReadConfiguration)
}

func (s fakeStatus) Renew(_ context.Context, g access.Permit, issuer pki.IssuerID, shard int) error {
	if issuer != "issuer" || shard > 7 {
		return pki.Errorf(pki.NotFound, "no such shard")
	}
	return g.Check(access.ManageAuthorities)
}

func (s fakeStatus) OCSPResponders(_ context.Context, g access.Permit) ([]revocation.ResponderState, error) {
	return []revocation.ResponderState{{Issuer: "issuer", Problem: pki.Errorf(pki.Unavailable, "no profile")}}, g.Check(access.ReadConfiguration)
}

func (s fakeStatus) Status(_ context.Context, _ pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	reason, ok := s.f.revoked[serial]
	if !ok {
		return revocation.Status{Known: true, NotAfter: day}, nil
	}
	return revocation.Status{Known: true, NotAfter: day, Revocation: &pki.Revocation{Reason: reason, At: day}}, nil
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// served is a running API over fakes.
type served struct {
	*fakeServices
	*httptest.Server
	log *syncBuffer
}

func serve(t testing.TB) *served {
	t.Helper()
	return serveWith(t, nil)
}

func serveWith(t testing.TB, limits *limit.Limits) *served {
	t.Helper()
	f := &fakeServices{alarms: alarm.NewBoard(time.Now), revoked: map[pki.Serial]pki.Reason{}, tokens: map[string]access.Principal{
		"admin":    {Tenant: "demo", ID: "token:1", Name: "admin", Grants: access.Given(access.TenantAdministrator)},
		"factory":  {Tenant: "demo", ID: "token:2", Name: "line 3", Grants: access.Given(access.FactoryOperator)},
		"operator": {Tenant: pki.Platform, ID: "token:4", Name: "operator", Grants: access.Given(access.PlatformOperator)},
		"auditor":  {Tenant: "demo", ID: "token:3", Name: "auditor", Grants: access.Given(access.Auditor)},
	}}
	log := new(syncBuffer)
	srv := httptest.NewTLSServer(New(Config{
		Tokens: fakeTokens{f: f}, Hierarchy: fakeHierarchy{f: f}, Enroll: fakeEnroll{f: f}, Batch: fakeBatch{f: f}, Registry: fakeRegistry{f: f},
		Revocation: fakeStatus{f}, Status: fakeStatus{f}, Alarms: f.alarms, Limits: limits, Version: "test", Now: func() time.Time { return day },
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}))
	t.Cleanup(srv.Close)
	return &served{f, srv, log}
}

// ask sends a request with a token ("" for none) and returns the answer, whole.
func (s *served) ask(t *testing.T, token, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 { // one that is there twice is sent twice
		if i < 2 || headers[i] != headers[i-2] {
			req.Header.Del(headers[i])
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// refused asks and wants a problem document.
func (s *served) refused(t *testing.T, status int, kind pki.Kind, token, method, path, body string, headers ...string) *client.Problem {
	t.Helper()
	resp, text := s.ask(t, token, method, path, body, headers...)
	p := new(client.Problem)
	if err := json.Unmarshal([]byte(text), p); err != nil {
		t.Fatalf("%s %s: %d %q: %v", method, path, resp.StatusCode, text, err)
	}
	if resp.StatusCode != status || p.Status != status || p.Kind != kind.String() {
		t.Errorf("%s %s: %d %s, want %d %s", method, path, resp.StatusCode, text, status, kind)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("%s %s: content type %s", method, path, ct)
	}
	return p
}

// client returns a Go client of the API with a token.
func (s *served) client(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: s.URL, Token: client.TokenOf(token), HTTPClient: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
