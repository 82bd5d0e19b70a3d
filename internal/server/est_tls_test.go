package server

import (
	"bytes"
	"crypto/fips140"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// TestESTOverTLS: EST is spoken over TLS 1.2 and 1.3 alone, with forward secrecy and
// authenticated encryption, and by HTTP/2 as well.
func TestESTOverTLS(t *testing.T) {
	s, st, meter, _ := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	address := strings.TrimPrefix(s.URL("devices"), "https://")
	shaken := func(cfg *tls.Config) error {
		cfg.RootCAs, cfg.ServerName = meter.roots, "localhost"
		conn, err := tls.Dial("tcp", address, cfg)
		if err == nil {
			conn.Close()
		}
		return err
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		if err := shaken(&tls.Config{MinVersion: version, MaxVersion: version}); (err == nil) != (version >= tls.VersionTLS12) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	taken := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !strings.HasPrefix(suite.Name, "TLS_ECDHE_ECDSA_") && !strings.HasPrefix(suite.Name, "TLS_ECDHE_RSA_") && !strings.HasPrefix(suite.Name, "TLS_RSA_") {
			continue // of TLS 1.3, which all are good and none is chosen
		}
		good := strings.HasPrefix(suite.Name, "TLS_ECDHE_") && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "_POLY1305_"))
		switch err := shaken(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}); {
		case err == nil && good:
			taken++
		case err == nil:
			t.Errorf("%s is taken", suite.Name)
		}
	}
	want := 3 // those for the key that the listener has
	if fips140.Enabled() {
		want = 2 // not by ChaCha20-Poly1305
	}
	if taken != want {
		t.Errorf("%d suites of TLS 1.2 are taken, not %d", taken, want)
	}
	if answer, err := http.Get("http://" + address + estPath("acme.meter", "cacerts")); err == nil {
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %s", answer.Status)
		}
	}
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: meter.roots}, ForceAttemptHTTP2: true}}
	defer over.CloseIdleConnections()
	answer, err := over.Get(s.URL("devices") + estPath("acme.meter", "cacerts"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.ProtoMajor != 2 || len(certificates(t, answer)) != 2 {
		t.Errorf("by %s", answer.Proto)
	}
}

// TestESTResumption: a device resumes its connection and enrols; what the connection proves
// is looked at each time, so that one of a certificate which was revoked meanwhile proves
// nobody.
func TestESTResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s, st, meter, certificate := trusting(t)
			takesEST(t, s, st, "acme", "meter")
			meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
			cfg := &tls.Config{RootCAs: meter.roots, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1),
				Certificates: []tls.Certificate{{Certificate: meter.chain, PrivateKey: meter.key}}}
			enrol := func() (status int, resumed bool) {
				t.Helper()
				over := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
				defer over.CloseIdleConnections()
				answer, err := over.Post(s.URL("devices")+estPath("acme.meter", "simpleenroll"), "application/pkcs10", bytes.NewReader([]byte(csrOf(t, pandotest.Key(t, pki.P256), "SM-1"))))
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				return answer.StatusCode, answer.TLS.DidResume
			}
			if status, resumed := enrol(); status != http.StatusOK || resumed {
				t.Fatalf("the first: %d, resumed %t", status, resumed)
			}
			if status, resumed := enrol(); status != http.StatusOK || !resumed {
				t.Errorf("the next: %d, resumed %t", status, resumed)
			}
			if _, err := s.revocation.Revoke(t.Context(), st.Permit(t, "acme", access.Revoke), certificate.Issuer, certificate.Serial, pki.KeyCompromise); err != nil {
				t.Fatal(err)
			}
			if status, resumed := enrol(); status != http.StatusUnauthorized || !resumed {
				t.Errorf("after it was revoked: %d, resumed %t", status, resumed)
			}
		})
	}
}
