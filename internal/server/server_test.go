package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/fakes3"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

func TestListeners(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	for _, test := range []struct {
		path, body string
		status     int
	}{
		{"/healthz", "ok\n", http.StatusOK},
		{"/", "404 page not found\n", http.StatusNotFound},
		{"/api/v1/tenants", "404 page not found\n", http.StatusNotFound},
	} {
		if status, body := fetch(t, s.URL("ops")+test.path); status != test.status || body != test.body {
			t.Errorf("ops%s: %d %q", test.path, status, body)
		}
	}
	if body := ready(t, s); body != "ready\n" {
		t.Errorf("ops/readyz: %q", body)
	}
	if status, _ := fetch(t, s.URL("http")+"/healthz"); status != http.StatusNotFound {
		t.Errorf("the open listener answers about health: %d", status)
	}

	roots := bootstrapOf(t, s)
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer over.CloseIdleConnections()
	for url, want := range map[string]int{
		s.URL("https") + "/api/v1/openapi.json": http.StatusOK,
		s.URL("https") + "/api/v1/tenants":      http.StatusUnauthorized,
		s.URL("devices") + "/":                  http.StatusNotFound,
	} {
		response, err := over.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", url, response.StatusCode, want)
		}
	}
	_, err := tls.Dial("tcp", strings.TrimPrefix(s.URL("https"), "https://"), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	for _, listener := range listening {
		for suite, want := range map[uint16]bool{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       true,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       true,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: !fips140.Enabled(),
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          false,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          false,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256:       false,
		} {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL(listener), "https://"), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
			if err == nil {
				conn.Close()
			}
			if (err == nil) != want {
				t.Errorf("%s, TLS 1.2 with %s: %v", listener, tls.CipherSuiteName(suite), err)
			}
		}
	}
	if got := s.URL("none"); got != "" {
		t.Errorf("a listener that is not there has the URL %q", got)
	}
}

// TestTimeouts: no listener waits for ever for a client, or takes what it sends
// without end.
func TestTimeouts(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	type bounds struct {
		ReadHeader, Read, Write, Idle time.Duration
		Header                        int
	}
	want := bounds{20 * time.Second, 30 * time.Second, time.Minute, time.Minute, 32 << 10}
	for _, w := range s.listeners.ways {
		h := w.server
		if diff := cmp.Diff(want, bounds{h.ReadHeaderTimeout, h.ReadTimeout, h.WriteTimeout, h.IdleTimeout, h.MaxHeaderBytes}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", w.name, diff)
		}
	}
}

// TestSlowHandshake: a small device, or one on a busy machine, takes seconds over what it
// verifies in a handshake, and is answered all the same.
func TestSlowHandshake(t *testing.T) {
	const slow = 7 * time.Second
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL("devices"), "https://"), &tls.Config{
		RootCAs: bootstrapOf(t, s), ServerName: "localhost",
		VerifyConnection: func(tls.ConnectionState) error { // before the client's last message
			time.Sleep(slow)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// By TLS 1.3 the client's part of the handshake is over before it hears whether the
	// server still wants it.
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer after a handshake of %s: %v", slow, err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", answer.StatusCode)
	}
}

// TestReadiness: readiness ends with the node's registration, health does not.
func TestReadiness(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	// It does not run: a server stops altogether when it sees that itself.
	ops := httptest.NewServer(s.ops())
	defer ops.Close()
	if _, err := s.store.Enter(t.Context(), s.cfg.Node, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err) // another process under the same name
	}
	if status, body := fetch(t, ops.URL+"/readyz"); status != http.StatusServiceUnavailable || strings.Contains(body, "epoch") {
		t.Errorf("readyz: %d %q", status, body)
	}
	if status, _ := fetch(t, ops.URL+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
}

// TestShutdown: a request that was taken is answered, with its certificate, before
// Run returns; no other is taken.
func TestShutdown(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	st := furnish(t, s, "acme", "meter")
	_, token, err := s.tokens.Create(t.Context(), st.Permit(t, "acme", access.ManageTokens), access.NewToken{Name: "line 1", Role: access.FactoryOperator})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)

	csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-1"})
	body, err := json.Marshal(map[string]string{
		"endpoint": "acme.meter", "csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	})
	if err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	request, err := http.NewRequest("POST", s.URL("https")+"/api/v1/enrollments", read)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.Reveal())
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue") // the body is sent when the handler reads it
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: bootstrapOf(t, s)}, ExpectContinueTimeout: time.Minute}}
	answered := make(chan error, 1)
	go func() {
		response, err := over.Do(request)
		if err != nil {
			answered <- err
			return
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusCreated || !bytes.Contains(text, []byte("BEGIN CERTIFICATE"))) {
			err = fmt.Errorf("status %d: %s", response.StatusCode, text)
		}
		answered <- err
	}()
	if _, err := write.Write(body[:10]); err != nil { // returns when it is in flight
		t.Fatal(err)
	}

	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	for ; ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL("https"), "https://"))
		if err != nil {
			break // no new ones
		}
		conn.Close()
	}
	select {
	case err := <-ended:
		t.Fatalf("Run ended with a request in flight: %v", err)
	case err := <-answered:
		t.Fatalf("the request ended before its body: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := write.Write(body[10:]); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestShutdownFinishesIntents: what is being issued when the server stops is
// recorded before the store is closed, also where nobody waits for it any more.
func TestShutdownFinishesIntents(t *testing.T) {
	cfg := newConfig(t)
	s := open(t, cfg, time.Now)
	st := furnish(t, s, "acme", "device")
	stop := run(t, s)
	grant := st.Permit(t, "acme", access.Enroll)
	var requesters sync.WaitGroup
	issued := make(chan struct{}, 1000)
	for range 16 {
		requesters.Go(func() {
			for {
				_, err := s.enroll.Enroll(context.Background(), enroll.Request{
					Grant: grant, Endpoint: "acme.device", Protocol: pki.ProtocolREST,
					Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "gateway"})},
				})
				if err != nil { // the server stops
					return
				}
				select {
				case issued <- struct{}{}:
				default:
				}
			}
		})
	}
	for n := range 100 {
		select {
		case <-issued:
		case <-time.After(time.Minute):
			t.Fatalf("%d certificates were issued", n)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	requesters.Wait()

	store := open(t, cfg, time.Now).store
	epoch, err := store.Enter(t.Context(), "another", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	left, err := store.Adopt(t.Context(), "another", epoch, time.Now().Add(time.Hour), 10)
	if err != nil || len(left) != 0 {
		t.Errorf("%d intents were left open, %v", len(left), err)
	}
}

func TestCloseTwice(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	if err := run(t, s)(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after Run: %v", err)
	}
}

// TestOneServer: a data directory has one server at a time.
func TestOneServer(t *testing.T) {
	cfg := newConfig(t)
	first := open(t, cfg, time.Now)
	stop := run(t, first)
	bootstrap := bootstrapOf(t, first)
	_, err := New(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
	if pki.KindOf(err) != pki.Conflict || !strings.Contains(pki.DetailOf(err), "in use by another pando") {
		t.Errorf("a second one: %v", err)
	}
	if _, err := shake(first, "https", bootstrap, time.Now); err != nil {
		t.Errorf("the first one, after that: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	open(t, cfg, time.Now)
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := newConfig(t)
	cfg.Listen.HTTP = taken.Addr().String()
	_, err = New(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "--http") || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("%v", err)
	}
	cfg.Listen.HTTP = free
	open(t, cfg, time.Now) // nothing of the failed one is left
}

// TestKeyEncryptionKey: a server does not start without the keys that its data is
// sealed under, and says which it wants.
func TestKeyEncryptionKey(t *testing.T) {
	cfg := newConfig(t)
	first := open(t, cfg, time.Now)
	furnish(t, first, "acme")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Data, "kek.key")
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PANDO_TEST_KEK", string(right))
	other := filepath.Join(t.TempDir(), "other.key")
	if _, err := soft.CreateKEK(other); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		keys Keys
		mode os.FileMode // of kek.key
		want pki.Kind    // Internal is none
		say  string
	}{
		{"the right one", Keys{}, 0o600, pki.Internal, ""},
		{"from the environment", Keys{Encryption: "env:PANDO_TEST_KEK"}, 0o600, pki.Internal, ""},
		{"another", Keys{Encryption: "file:" + other}, 0o600, pki.Unavailable, "keys of the platform are sealed"},
		{"another for the tenant", Keys{Tenants: map[pki.TenantID]string{"acme": "file:" + other}}, 0o600, pki.Unavailable, "acme"},
		{"missing", Keys{Encryption: "file:none.key"}, 0o600, pki.NotFound, filepath.Join(cfg.Data, "none.key")},
		{"missing for a tenant", Keys{Tenants: map[pki.TenantID]string{"globex": "file:none.key"}}, 0o600, pki.NotFound, "none.key"},
		{"not in the environment", Keys{Encryption: "env:PANDO_TEST_NO_KEK"}, 0o600, pki.NotFound, "PANDO_TEST_NO_KEK"},
		{"open to others", Keys{}, 0o640, pki.Forbidden, "chmod 600"},
		{"the key itself in the configuration", Keys{Encryption: strings.TrimSpace(string(right))}, 0o600, pki.Malformed, "file:PATH"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			c := cfg
			c.Keys.Tenants = test.keys.Tenants
			if test.keys.Encryption != "" {
				c.Keys.Encryption = test.keys.Encryption
			}
			s, err := New(t.Context(), c, "test", slog.New(slog.DiscardHandler))
			if test.want == pki.Internal {
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
				return
			}
			if err == nil || pki.KindOf(err) != test.want || !strings.Contains(pki.DetailOf(err), test.say) {
				t.Errorf("%v (%s), want %s that says %q", err, pki.KindOf(err), test.want, test.say)
			}
			if err != nil && strings.Contains(err.Error(), strings.TrimSpace(string(right))) {
				t.Error("the error repeats the key")
			}
		})
	}
}

// TestTenantsKeys: a tenant's keys are sealed under its own key-encryption key
// where it has one, and work after a restart.
func TestTenantsKeys(t *testing.T) {
	cfg := newConfig(t)
	ids := make(map[string]pki.TenantID)
	for tenant, file := range map[pki.TenantID]string{"": "kek.key", "acme": "acme.key"} {
		path := filepath.Join(cfg.Data, file)
		if tenant != "" {
			if _, err := soft.CreateKEK(path); err != nil {
				t.Fatal(err)
			}
		}
		kek, err := soft.LoadKEK("file:" + path)
		if err != nil {
			t.Fatal(err)
		}
		ids[kek.ID()] = tenant
	}
	cfg.Keys.Tenants = map[pki.TenantID]string{"acme": "file:acme.key"}
	first := open(t, cfg, time.Now)
	furnish(t, first, "acme", "tls-server")
	furnish(t, first, "globex")
	sealings, err := first.store.Sealings(t.Context())
	if err != nil || len(sealings) != 2 {
		t.Fatalf("%+v, %v", sealings, err)
	}
	for _, sealing := range sealings {
		if own := map[pki.TenantID]pki.TenantID{"acme": "acme", "globex": ""}[sealing.Tenant]; ids[sealing.KEK] != own {
			t.Errorf("keys of %s are sealed under that of %q", sealing.Tenant, ids[sealing.KEK])
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	again := open(t, cfg, time.Now)
	run(t, again)
	if err := again.RenewListeners(t.Context()); err != nil { // acme's authority signs
		t.Error(err)
	}
	if _, err := shake(again, "https", rootOf(t, again, "acme"), time.Now); err != nil {
		t.Error(err)
	}
}

func TestFirstToken(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	token, err := s.FirstToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if who, err := s.tokens.Authenticate(t.Context(), token); err != nil || len(who.Grants) != 1 || who.Grants[0].Role != access.PlatformOperator {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := s.FirstToken(t.Context()); pki.KindOf(err) != pki.Conflict {
		t.Errorf("a second one: %v", err)
	}
}

// TestPublishStatus: the CRLs of every shard are there at once.
func TestPublishStatus(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	furnish(t, s, "acme")
	run(t, s)
	if err := s.PublishStatus(t.Context()); err != nil {
		t.Fatal(err)
	}
	issuers, err := s.store.AllIssuers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range issuers {
		for shard := range i.Shards {
			want := http.StatusOK
			if i.Key == pki.OfflineKey {
				want = http.StatusNotFound // its CRL comes from a ceremony
			}
			if status, _ := fetch(t, fmt.Sprintf("%s/crl/%s/%d.crl", s.URL("http"), i.ID, shard)); status != want {
				t.Errorf("CRL %d of %s: %d, want %d", shard, i.ID, status, want)
			}
		}
	}
}

// TestPublishTargets has CRLs and CA certificates come to a directory and to a
// bucket, as the configuration names them.
func TestPublishTargets(t *testing.T) {
	s3, cfg := fakes3.New(t), newConfig(t)
	credentials := fmt.Sprintf("AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", fakes3.AccessKeyID, fakes3.SecretAccessKey)
	if err := os.WriteFile(filepath.Join(cfg.Data, "s3.credentials"), []byte(credentials), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(cfg.Data, "web"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg.Status.Publish = []PublishTarget{
		{Name: "web", Directory: "web"},
		{Name: "cdn", Bucket: &Bucket{Endpoint: s3.URL, Bucket: s3.Bucket, Prefix: "pki", Region: fakes3.Region, Credentials: "file:s3.credentials"}},
	}
	s := open(t, cfg, time.Now)
	furnish(t, s, "acme", "meter")
	run(t, s)
	issuers, err := s.store.AllIssuers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, issuer := range issuers {
		if issuer.Key == pki.OfflineKey {
			continue
		}
		name := "crl/" + string(issuer.ID) + "/0.crl"
		// appears waits until something is there.
		appears := func(what string, get func() []byte) []byte {
			t.Helper()
			for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
				if got := get(); got != nil {
					return got
				}
				if time.Since(begun) > 2*time.Minute {
					t.Fatalf("%s does not appear", what)
				}
			}
		}
		inBucket := func(name string) []byte {
			t.Helper()
			return appears(name+" in the bucket", func() []byte { return s3.Object("pki/" + name) })
		}
		inDirectory := appears(name+" in the directory", func() []byte {
			crl, _ := os.ReadFile(filepath.Join(cfg.Data, "web", name))
			return crl
		})
		for _, crl := range [][]byte{inDirectory, inBucket(name)} {
			if _, err := s.revocation.Verify(t.Context(), revocation.List{Issuer: issuer.ID}, crl); err != nil {
				t.Error(err)
			}
		}
		if !bytes.Equal(inBucket("ca/"+string(issuer.ID)+".cer"), issuer.Certificate) {
			t.Error("the issuer's certificate is not in the bucket")
		}
		inBucket("ca/" + string(issuer.ID) + ".pem")
	}
	for _, a := range s.alarms.All() {
		if strings.HasPrefix(a.Name, "publish.") {
			t.Errorf("alarm %v", a)
		}
	}
}
