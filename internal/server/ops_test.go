package server

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
)

// TestReadyWithAlarms: critical alarms are told where readiness is asked for, and
// do not take the node out of service.
func TestReadyWithAlarms(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	late := alarm.Alarm{Key: alarm.Key{Name: "test.late"}, Severity: alarm.Warning}
	full := alarm.Alarm{Key: alarm.Key{Name: "test.full"}, Severity: alarm.Critical}
	for _, step := range []struct {
		act  func()
		want string
	}{
		{func() { s.alarms.Raise(late) }, "ready\n"},
		{func() { s.alarms.Raise(full) }, "ready, with critical alarms: 1 ('pando alarms' says which)\n"},
		{func() { s.alarms.Clear(full.Key) }, "ready\n"},
	} {
		step.act()
		if body := ready(t, s); body != step.want {
			t.Errorf("%q, want %q", body, step.want)
		}
	}
}

// ready returns what a server says that is ready. It is asked again while its store takes
// longer for a write than the answer may.
func ready(t *testing.T, s *Server) string {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		status, body := fetch(t, s.URL("ops")+"/readyz")
		if status == http.StatusOK {
			return body
		}
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("readyz: %d %q", status, body)
		}
	}
}

// TestMetrics: requests at every listener are counted under the patterns of their
// routes.
func TestMetrics(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: bootstrapOf(t, s)}}}
	defer over.CloseIdleConnections()
	for _, url := range []string{s.URL("https") + "/api/v1/tenants/acme", s.URL("https") + "/api/v1/batches/x/results", s.URL("devices") + "/x", s.URL("http") + "/ca/x.cer"} {
		response, err := over.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	_, text := fetch(t, s.URL("ops")+"/metrics")
	for _, line := range []string{
		`pando_http_requests_total{code="401",listener="https",route="GET /api/v1/tenants/{tenant}"} 1`,
		`pando_http_requests_total{code="401",listener="https",route="GET /api/v1/batches/{id}/results"} 1`,
		`pando_http_requests_total{code="404",listener="devices",route="none"} 1`,
		`pando_http_requests_total{code="404",listener="http",route="/ca/{file}"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
}
