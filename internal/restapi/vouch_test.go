package restapi

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// unvouched is how long it takes until a stream looks again who asks.
const unvouched = vouchFor + 100*time.Millisecond

// TestTokenRevokedDuringUpload revokes a token while its upload stands still,
// over real services.
func TestTokenRevokedDuringUpload(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "demo", "meter")
	srv := httptest.NewTLSServer(New(Config{Tokens: s.Tokens, Hierarchy: s.Hierarchy, Enroll: s.Enroll, Batch: s.Batch, Registry: s.Registry, Trace: s.Trace, LotReports: s.LotReports,
		Revocation: s.Revocation, Status: s.Store, Version: "test", Now: s.Now, Logger: slog.New(slog.DiscardHandler)}))
	defer srv.Close()
	manage := s.Permit(t, "demo", access.ManageTokens)
	dial := func(role access.Role) (*client.Client, pki.TokenID) {
		token, secret, err := s.Tokens.Create(t.Context(), manage, access.NewToken{Name: "x", Role: role})
		if err != nil {
			t.Fatal(err)
		}
		return must(client.New(client.Config{Server: srv.URL, Token: client.TokenOf(secret.Reveal()), HTTPClient: srv.Client()}))(t), token.ID
	}
	factory, id := dial(access.FactoryOperator)
	admin, _ := dial(access.TenantAdministrator)

	rows, sent := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := factory.Submit(t.Context(), client.Submission{Endpoint: "meter", Format: client.PEM}, rows)
		rows.CloseWithError(errors.New("the upload has ended"))
		ended <- err
	}()
	if _, err := pandotest.PEMRequests(t, "SM-", 2).WriteTo(sent); err != nil {
		t.Fatal(err)
	}
	for len(must(admin.Batches(t.Context(), "", 10))(t).Items) == 0 {
		time.Sleep(10 * time.Millisecond) // until the server has begun
	}
	if err := s.Tokens.Revoke(t.Context(), manage, id); err != nil {
		t.Fatal(err)
	}
	time.Sleep(unvouched)
	_, _ = pandotest.PEMRequests(t, "SM-late-", 1).WriteTo(sent) // may be cut short
	_ = sent.Close()

	if p, ok := errors.AsType[*client.Problem](<-ended); !ok || p.Status != http.StatusUnauthorized {
		t.Errorf("the upload ended with %v, want 401", p)
	}
	if b := must(admin.Batches(t.Context(), "", 10))(t).Items[0]; b.State != client.Uploading || b.Issued != 0 {
		t.Errorf("the batch goes on: %+v", b)
	}
	for _, c := range must(admin.Certificates(t.Context(), client.CertificateQuery{}, "", 10))(t).Items {
		if c.Batch != "" {
			t.Errorf("row %d has a certificate", c.Row)
		}
	}
}

// TestTokenRevokedDuringAnswer revokes a token while its stream stands still:
// what was sent is all, the connection is cut, and the log says why.
func TestTokenRevokedDuringAnswer(t *testing.T) {
	row := func(device pki.DeviceID) batch.Result { return batch.Result{Row: 1, Device: device, Cancelled: true} }
	for name, answer := range map[string]struct {
		path string
		set  func(s *served, standStill func())
		seen string // of what comes before; "" where it is still buffered
	}{
		"events": {"/events", func(s *served, standStill func()) {
			s.watched = func(yield func(*batch.Batch, error) bool) {
				if yield(&batch.Batch{ID: "before"}, nil) {
					standStill()
					yield(&batch.Batch{ID: "after"}, nil)
				}
			}
		}, "before"},
		"results": {"/results", func(s *served, standStill func()) {
			s.results = func(yield func(batch.Result, error) bool) {
				if yield(row(pki.DeviceID(strings.Repeat("before", 10<<10))), nil) {
					standStill()
					yield(row("after"), nil)
				}
			}
		}, "before"},
		"few results": {"/results", func(s *served, standStill func()) {
			s.results = func(yield func(batch.Result, error) bool) {
				if yield(row("before"), nil) {
					standStill()
					yield(row("after"), nil)
				}
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			answer.set(s, func() {
				delete(s.tokens, "auditor")
				time.Sleep(unvouched)
			})
			text, err := s.cut(t, "auditor", "/api/v1/batches/b1"+answer.path)
			if err == nil || !strings.Contains(text, answer.seen) || strings.Contains(text, "after") {
				t.Errorf("%v after %.200s", err, text)
			}
			if log := s.log.String(); !strings.Contains(log, "looking again who asks") || !strings.Contains(log, "kind=unauthenticated") {
				t.Errorf("the log does not say why: %s", log)
			}
		})
	}
}

// cut asks for what is cut, and returns what came and how it ended.
func (s *served) cut(t *testing.T, token, path string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.Client().Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
