package restapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operator/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocsHaveKinds: each kind has its row, with its status, in the table of api.md.
func TestDocsHaveKinds(t *testing.T) {
	text := page(t, "api.md")
	for _, k := range pki.Kinds() {
		status, _ := meaning(k)
		if row := fmt.Sprintf("\n| `%s` | %d |", k, status); !strings.Contains(text, row) {
			t.Errorf("api.md lacks the row %q", row)
		}
	}
}

// fakeJobs takes jobs and notes them.
type fakeJobs struct {
	RevocationJobs
	got []revocation.NewJob
}

func (f *fakeJobs) Create(_ context.Context, _ access.Permit, n revocation.NewJob) (*revocation.Job, bool, error) {
	f.got = append(f.got, n)
	return &revocation.Job{ID: "1", Selection: n.Selection, Reason: n.Reason, DryRun: n.DryRun}, false, nil
}

// TestDocsRevocations: the bodies that the pages show for POST /revocations are taken.
func TestDocsRevocations(t *testing.T) {
	jobs, f := new(fakeJobs), serve(t).fakeServices
	srv := httptest.NewTLSServer(New(Config{Tokens: fakeTokens{f: f}, Hierarchy: fakeHierarchy{f: f}, Enroll: fakeEnroll{f: f}, Batch: fakeBatch{f: f}, Registry: fakeRegistry{f: f},
		Revocation: fakeStatus{f}, Status: fakeStatus{f}, Alarms: f.alarms, RevocationJobs: jobs, Version: "test", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(srv.Close)
	s := &served{f, srv, nil}
	for name, example := range map[string]string{
		"status.md": "`POST /revocations` with `([^`]+)`",
		"api.md":    `\$API/revocations --json '([^']+)'`,
	} {
		body := regexp.MustCompile(example).FindStringSubmatch(page(t, name))
		if body == nil {
			t.Errorf("%s shows no body", name)
			continue
		}
		if resp, text := s.ask(t, "admin", "POST", "/api/v1/revocations", body[1]); resp.StatusCode != http.StatusCreated {
			t.Errorf("%s: %s is answered by %d: %s", name, body[1], resp.StatusCode, text)
		}
	}
	for _, n := range jobs.got {
		lot := n.Selection.Lot
		if diff := cmp.Diff(revocation.NewJob{Selection: revocation.Selection{Lot: lot}, Reason: pki.KeyCompromise, DryRun: true}, n); diff != "" || lot == "" {
			t.Error(diff)
		}
	}
}
