package metrics_test

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/metrics"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/publish"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/statuscheck"
)

var update = flag.Bool("update", false, "write the golden files anew")

// parts are what a stack does not run by itself.
type parts struct {
	log       *auditlog.Service
	publisher *publish.Publisher
	checker   *statuscheck.Checker
	later     *pandotest.Clock // the checker's
	limits    *limit.Limits
	purged    map[string]*stat.Purges
	validator *answers
	indexer   hierarchy.IndexerStats
}

func newMetrics(t *testing.T) (*stack.Stack, *metrics.Metrics, *parts) {
	s := stack.New(t, stack.Config{})
	log := slog.New(slog.DiscardHandler)
	// A target that works, and one whose directory is a file.
	dir := t.TempDir()
	broken := filepath.Join(dir, "file")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	targets := map[string]publish.Target{"good": blob.OpenDirectory(dir), "broken": blob.OpenDirectory(broken)}
	p := &parts{
		log:       s.NewLog(t),
		purged:    map[string]*stat.Purges{"old things": {}},
		validator: new(answers),
		later:     pandotest.NewClock(time.Now()),
		publisher: publish.New(publish.Config{Targets: targets, Source: s.Revocation, Chains: s.Hierarchy, Alarms: s.Alarms, Log: log}),
		limits:    limit.New(limit.Config{Requests: 1, Tenant: limit.Rate{PerSecond: 1, Burst: 1}, Now: pandotest.NewClock(time.Now()).Now}),
	}
	p.checker = statuscheck.New(statuscheck.Config{Store: s.Store, Authority: s.Revocation, Chains: s.Hierarchy, Publisher: p.publisher, Alarms: s.Alarms, Now: p.later.Now, Log: log})
	return s, metrics.New(metrics.Config{
		Store: s.Store, Issuance: s.Issuance, Keys: s.Keypool, Refused: s.Enroll.Refused(), Visits: s.Visits, Signatures: s.Signer.Times(),
		Revocation: s.Revocation.Stats(), Retention: s.Retention.Stats, Approvals: s.Approvals.Stats(), Purged: p.purged, Validators: p.validator, LotReports: s.LotReports.Signed(), Registry: s.Registry.Stats(), Indexer: &p.indexer, Audit: p.log.Stats(), Publisher: p.publisher, Checker: p.checker.Stats(), Limits: p.limits,
		Connections: func() map[string]metrics.Connections {
			return map[string]metrics.Connections{"https": {Open: 2, Most: 3, Refused: 1}}
		}, Alarms: s.Alarms, Now: time.Now, Log: log, Version: "test",
	}), p
}

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// work has everything happen once that is counted.
func work(t *testing.T, s *stack.Stack, m *metrics.Metrics, p *parts) {
	t.Helper()
	s.AddTenant(t, "demo", "meter")
	enrollOne := func(csr []byte) error {
		_, err := s.Enroll.Enroll(t.Context(), enroll.Request{Grant: s.Permit(t, "demo", access.Enroll), Endpoint: "meter",
			Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr}})
		return err
	}
	csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})
	if err := enrollOne(csr); err != nil {
		t.Fatal(err)
	}
	if err := enrollOne(csr); pki.KindOf(err) != pki.DuplicateKey {
		t.Fatal(err)
	}
	if _, err := s.Revocation.PublishDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Quotas.Set(t.Context(), s.Permit(t, "demo", access.ManageQuotas), quota.Target{Kind: quota.Tenant}, 1); err != nil {
		t.Fatal(err)
	}
	keep(t, s)
	p.work(t, s, m)
	s.Alarms.Raise(alarm.Alarm{Key: alarm.Key{Tenant: "demo", Name: "test.alarm"}, Severity: alarm.Warning})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	for _, path := range []string{"/things/1", "/things/2", "/elsewhere"} {
		m.Count("https", mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
}

// keep has a lot be closed and a change wait.
func keep(t *testing.T, s *stack.Stack) {
	t.Helper()
	manage := s.Permit(t, "demo", access.ManageRegistry)
	if _, err := s.Registry.CreateLot(t.Context(), manage, registry.Lot{Name: "lot-7", ProductLine: "meters"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second changes nothing
		if _, err := s.Registry.ImportDevices(t.Context(), manage, registry.CSV, pki.Placement{Lot: "lot-7"}, strings.NewReader("device\nGW-1\nGW-2\n\"\"\n")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Registry.ImportDevices(t.Context(), manage, registry.CSV, pki.Placement{Lot: "lot-8"}, strings.NewReader("device\nGW-1\n")); err != nil {
		t.Fatal(err)
	}
	devices := s.Permit(t, "demo", access.ManageDevices)
	for n := range 2 { // the second is refused
		if _, err := s.Registry.ChangeDevice(t.Context(), devices, "GW-1", registry.Decommission, ""); (err == nil) != (n == 0) {
			t.Fatal(err)
		}
	}
	if _, err := s.LotReports.Close(t.Context(), manage, "lot-7", nil); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := &approval.Change{ID: pki.ChangeID(pki.NewID(now)), Tenant: "demo", Kind: approval.PublishProfile, Target: "profile:meter", Payload: []byte("{}"), Created: now, Expires: now.Add(time.Hour),
		State: approval.Pending, Steps: []approval.Step{{Role: "administrator", N: 1}}}
	if _, err := s.Store.PutChange(t.Context(), c, false, approval.Most{Tenant: 10, Requester: 10}, pki.Event{Tenant: "demo", At: now, Actor: "token:1", Action: "change.request"}); err != nil {
		t.Fatal(err)
	}

}

// work has each of the parts do something, and be refused something.
func (p *parts) work(t *testing.T, s *stack.Stack, m *metrics.Metrics) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	published := make(chan error, 1)
	go func() { published <- p.publisher.Run(ctx) }()
	for text := ""; !strings.Contains(text, "pando_publish_lists_total{target=\"good\"} 2\n") ||
		strings.Contains(text, "pando_publish_failures_total{target=\"broken\"} 0\n"); text = scrape(t, m) {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if err := p.log.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, to := range []io.Writer{io.Discard, new(full)} {
		e, err := p.log.Export(t.Context(), s.Permit(t, "demo", access.ReadEvents), time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Write(t.Context(), to); (err == nil) != (to == io.Discard) {
			t.Fatal(err)
		}
	}
	p.purged["old things"].Removed.Add(7)
	p.indexer.Certificates.Add(500)
	p.indexer.Failures.Add(2)
	if _, err := s.Hierarchy.AddIndexes(t.Context(), s.Permit(t, "demo", access.ManageAuthorities), "issuing", []pki.SearchIndex{pki.IndexExpiry, pki.IndexSubject}); err != nil {
		t.Fatal(err)
	}
	p.validator.said.Yes.Add(1)
	p.validator.said.No.Add(pki.Unauthenticated)
	for range 2 { // nobody listens at a stack's status URL, and the root's first CRL is late at the second look
		if err := p.checker.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.later.Advance(3 * time.Minute)
	}
	if err := s.Retention.Round(t.Context(), "demo"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // of one place, and one a second, on a clock that stands still
		p.limits.Request(false)
		p.limits.Tenant("demo")
	}
}

// answers are of the one validator that there is.
type answers struct{ said stat.Answers }

func (a *answers) Answers(f func(string, *stat.Answers)) { f("intune", &a.said) }

// full takes nothing.
type full struct{}

func (*full) Write([]byte) (int, error) { return 0, errors.New("it is full") }

// TestCounts: what happened is what is shown.
func TestCounts(t *testing.T) {
	s, m, p := newMetrics(t)
	work(t, s, m, p)
	text := scrape(t, m)
	for _, line := range []string{
		`pando_build_info{version="test"} 1`,
		`pando_certificates_issued_total{way="single"} 1`,
		`pando_certificates_refused_total{kind="duplicate-key",way="single"} 1`,
		`pando_endpoint_requests_total{outcome="issued",protocol="rest"} 1`,
		`pando_endpoint_requests_total{outcome="duplicate-key",protocol="rest"} 1`,
		`pando_endpoint_requests_total{outcome="issued",protocol="scep"} 0`,
		`pando_endpoint_requests_total{outcome="unauthenticated",protocol="none"} 0`,
		`pando_issuance_group_size_count 1`,
		`pando_issuance_open_intents 0`,
		`pando_alarms{alarm="test.alarm",severity="warning"} 1`,
		`pando_http_requests_total{code="418",listener="https",route="GET /things/{id}"} 2`,
		`pando_http_requests_total{code="404",listener="https",route="none"} 1`,
		`pando_crls_made_total 2`,
		`pando_archives_total 0`,
		`pando_changes_open{state="pending"} 1`,
		`pando_changes_open{state="approved"} 0`,
		`pando_validator_answers_total{outcome="success",validator="intune"} 1`,
		`pando_validator_answers_total{outcome="unauthenticated",validator="intune"} 1`,
		`pando_validator_answers_total{outcome="unavailable",validator="intune"} 0`,
		`pando_device_import_rows_total{outcome="planned"} 2`,
		`pando_device_import_rows_total{outcome="moved"} 1`,
		`pando_device_import_rows_total{outcome="unchanged"} 2`,
		`pando_device_import_rows_total{outcome="refused"} 2`,
		`pando_device_acts_total{act="decommission"} 1`,
		`pando_device_acts_total{act="suspend"} 0`,
		`pando_lot_reports_total 1`,
		`pando_indexes_making 2`,
		`pando_index_certificates_total 500`,
		`pando_index_failures_total 2`,
		`pando_purged_total{what="old things"} 7`,
		`pando_purge_failures_total{what="old things"} 0`,
		`pando_log_exports_total{outcome="done"} 1`,
		`pando_log_exports_total{outcome="failed"} 1`,
		`pando_quotas{state="full"} 1`,
		`pando_quotas{state="free"} 0`,
		`pando_quotas_counting 0`,
		`pando_metrics_store_error 0`,
		`pando_log_waiting_seconds 0`,
		`pando_log_unanchored_seconds 0`,
		`pando_publish_lists_total{target="good"} 2`,
		`pando_publish_failing_seconds{target="good"} 0`,
		`pando_status_check_rounds_total 2`,
		`pando_archive_rounds_total 1`,
		`pando_batches{state="running"} 0`,
		`pando_revocation_jobs{state="paused"} 0`,
		`pando_limit_places{limit="requests"} 1`,
		`pando_limit_places_taken{limit="requests"} 1`,
		`pando_limit_refused_total{limit="requests"} 1`,
		`pando_limit_refused_total{limit="tenant-rate"} 1`,
		`pando_limit_refused_total{limit="streams"} 0`,
		`pando_connections{listener="https"} 2`,
		`pando_connections_limit{listener="https"} 3`,
		`pando_connections_refused_total{listener="https"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	for _, pattern := range []string{
		`pando_signature_duration_seconds_count\{key="p256"\} [1-9]`, `pando_crl_remaining_seconds\{issuer="\w{26}"\} [1-9]`,
		`pando_store_database_bytes [1-9]`, `pando_store_wal_bytes [1-9]`, `pando_store_transaction_duration_seconds_count [1-9]`,
		`pando_anchor_taken_age_seconds\{anchor="file .*"\} \d`, `pando_anchor_failures_total\{anchor="file .*"\} 0`, `pando_log_checkpoint_age_seconds \d`,
		`pando_publish_failures_total\{target="broken"\} [1-9]`, `pando_status_check_unreachable_total [1-9]`,
		`pando_status_check_wrong_total [1-9]`, // the root has no CRL
		`pando_archive_round_age_seconds \d`,
		`go_goroutines [1-9]`, `process_resident_memory_bytes [1-9]`,
	} {
		if !regexp.MustCompile(`(?m)^` + pattern).MatchString(text) {
			t.Errorf("nothing matches %s", pattern)
		}
	}
	if strings.Contains(text, "demo") || strings.Contains(text, "SM-1") {
		t.Error("a tenant or a device is told")
	}
}

// TestStoreError: the counts of the process are there when the store is not.
func TestStoreError(t *testing.T) {
	s, m, _ := newMetrics(t)
	s.AddTenant(t, "demo")
	work := scrape(t, m)
	if !strings.Contains(work, "pando_store_database_bytes") {
		t.Fatal("no size while the store is there")
	}
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, m)
	if !strings.Contains(text, "pando_metrics_store_error 1\n") || !strings.Contains(text, `pando_certificates_issued_total{way="single"} 0`) {
		t.Error(text)
	}
}

// TestDocs keeps the table of docs/operator/metrics.md equal to what a server shows,
// and sees that the alert rules ask for metrics that are there.
func TestDocs(t *testing.T) {
	s, m, p := newMetrics(t)
	work(t, s, m, p)
	text := scrape(t, m)
	shown := map[string]bool{}
	var b strings.Builder
	fmt.Fprint(&b, "| metric | type | labels | |\n| --- | --- | --- | --- |\n")
	for _, d := range metrics.Documented() {
		shown[d.Name] = true
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, strings.Join(d.Labels, ", "), d.Help)
		if !strings.Contains(text, "# TYPE "+d.Name+" "+d.Kind+"\n") {
			t.Errorf("%s is documented, and not shown as a %s", d.Name, d.Kind)
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (pando_\w+)`).FindAllStringSubmatch(text, -1) {
		if !shown[line[1]] {
			t.Errorf("%s is shown, and not documented", line[1])
		}
	}
	const page = "../../docs/operator/metrics.md"
	const begin, end = "<!-- Generated: go test ./internal/metrics -run Docs -update -->\n\n", "\n<!-- end -->"
	doc, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	_, after, okEnd := strings.Cut(rest, end)
	if !ok || !okEnd {
		t.Fatalf("%s has no place for the table", page)
	}
	want := before + begin + b.String() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(doc) {
		t.Errorf("%s is not of today: run this test with -update", page)
	}
	rules(t, shown)
}

// rules reads the alert rules.
func rules(t *testing.T, shown map[string]bool) {
	t.Helper()
	text, err := os.ReadFile("../../docs/operator/prometheus-rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For string
				Labels           map[string]string
				Annotations      map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`pando_[a-z_]+`)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			asked := name.FindAllString(r.Expr, -1)
			missing := slices.ContainsFunc(asked, func(n string) bool {
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					n = strings.TrimSuffix(n, suffix)
				}
				return !shown[n]
			})
			if missing || r.Alert == "" || r.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
				t.Errorf("rule %+v", r)
			}
		}
	}
}
