package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

const free = "127.0.0.1:0"

// newConfig returns the configuration of a server over an empty directory with a
// key-encryption key, on free ports.
func newConfig(t *testing.T) Config {
	t.Helper()
	data := t.TempDir()
	if _, err := soft.CreateKEK(filepath.Join(data, "kek.key")); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Data, cfg.Listen = data, Listen{HTTPS: free, Devices: free, HTTP: free, Ops: free}
	cfg.TLS = TLS{Endpoint: "acme.tls-server", Names: []string{"localhost", "127.0.0.1"}}
	// No status is looked at: the authorities of tests have theirs where nobody listens.
	cfg.Status.CheckEvery = Duration(24 * time.Hour)
	return cfg
}

// openAt returns a server with a clock that the test moves. Its devices may ask any number
// of times: what is tried again while the clock stands still would use up their rate.
func openAt(t *testing.T, clock *pandotest.Clock) *Server {
	t.Helper()
	cfg := newConfig(t)
	cfg.Limits.Device = Rate{1e6, 1e6}
	return open(t, cfg, clock.Now)
}

// open returns a server that does not run yet; it is closed with the test.
func open(t *testing.T, cfg Config, now pki.Clock) *Server {
	t.Helper()
	return openOn(t, cfg, machine{now: now})
}

func openOn(t *testing.T, cfg Config, m machine) *Server {
	t.Helper()
	s, err := newServer(t.Context(), cfg, "test", slog.New(slog.DiscardHandler), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// patiently does something until it is not Unavailable, as it is for a moment after
// a clock was moved: what the log waits for, and its anchors got, looks old then.
func patiently(do func() error) error {
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if err := do(); pki.KindOf(err) != pki.Unavailable || time.Since(begun) > 2*time.Minute {
			return err
		}
	}
}

// later moves the clock of a server that runs, and returns when the server goes on. What the
// server did before has its place in the audit log by then: an entry that waited would look
// as old as the clock went on, and the server would do nothing until it has its place. What
// its workers do meanwhile gets its place after that.
func later(t *testing.T, s *Server, clock *pandotest.Clock, d time.Duration) {
	t.Helper()
	finish := func() {
		t.Helper()
		if err := s.audit.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	finish()
	clock.Advance(d)
	finish()
	waits := func(a alarm.Alarm) bool { return a.Name == "log.backlog" || a.Name == "anchor.late" }
	for begun := time.Now(); slices.ContainsFunc(s.alarms.All(), waits); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("the server waits for its log: %+v", s.alarms.All())
		}
	}
}

// run runs a server until stop is called, which returns what Run does, or until
// the test ends.
func run(t *testing.T, s *Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if stopped {
			return
		}
		if err := stop(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return stop
}

// checkStopped stops a server and sees that every invariant of what it stored holds, with
// its certificates linted again.
func checkStopped(t *testing.T, s *Server, stop func() error) *check.Report {
	t.Helper()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	store, err := sqlstore.Open(t.Context(), s.cfg.Database(), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	r, err := check.Run(t.Context(), check.Config{Store: store, Relint: new(check.Relint)})
	if err != nil {
		t.Fatal(err)
	}
	if r.Total > 0 || r.Certificates == 0 || r.Relinted != r.Certificates || r.OpenIntents != 0 {
		t.Errorf("pando check: %d of %d certificates linted again, %d open intents, %v", r.Relinted, r.Certificates, r.OpenIntents, r.Findings)
	}
	return r
}

// furnish makes a tenant with a test root, an authority and an endpoint for each
// profile, by the server's own services.
func furnish(t *testing.T, s *Server, tenant pki.TenantID, endpoints ...string) *stack.Stack {
	t.Helper()
	t.Chdir(t.TempDir()) // where such a stack keeps the sealed root
	st := &stack.Stack{Store: s.store, Tokens: s.tokens, Hierarchy: s.hierarchy, Enroll: s.enroll, Now: s.now}
	st.AddTenant(t, tenant, endpoints...)
	return st
}

// rootOf returns the tenant's root, alone in a pool.
func rootOf(t *testing.T, s *Server, tenant pki.TenantID) *x509.CertPool {
	t.Helper()
	g, err := access.System(tenant, "test").Authorize(access.ReadConfiguration, tenant)
	if err != nil {
		t.Fatal(err)
	}
	view, err := s.hierarchy.Authority(t.Context(), g, "root")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(view.Issuers[0].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

// bootstrapOf returns the server's bootstrap certificate, alone in a pool.
func bootstrapOf(t *testing.T, s *Server) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.cfg.Data, BootstrapFile))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", BootstrapFile)
	}
	return pool
}

// shake makes a TLS handshake with a listener and returns the listener's
// certificate, verified. now is asked when the certificate is there: a server that
// starts may make it while the handshake waits.
func shake(s *Server, listener string, roots *x509.CertPool, now pki.Clock) (*x509.Certificate, error) {
	address := strings.TrimPrefix(s.URL(listener), "https://")
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", Time: now})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// fetch returns the status and body of a plain GET.
func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
