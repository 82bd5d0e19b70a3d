package server

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// listening is every listener with TLS.
var listening = []string{"https", "devices"}

// TestBootstrap: the listeners have a certificate of their own making until their
// endpoint is there, and from then on one of their own PKI.
func TestBootstrap(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	bootstrap := bootstrapOf(t, s)
	for _, listener := range listening {
		cert, err := shake(s, listener, bootstrap, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if cert.IsCA || len(cert.DNSNames) != 1 || len(cert.IPAddresses) != 1 {
			t.Errorf("%s: CA %t, names %v %v", listener, cert.IsCA, cert.DNSNames, cert.IPAddresses)
		}
	}
	if err := s.RenewListeners(t.Context()); pki.KindOf(err) != pki.NotFound {
		t.Errorf("without the endpoint: %v", err)
	}
	furnish(t, s, "acme", "tls-server")
	if err := s.RenewListeners(t.Context()); err != nil {
		t.Fatal(err)
	}
	root := rootOf(t, s, "acme")
	for _, listener := range listening {
		cert, err := shake(s, listener, root, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"localhost"}, cert.DNSNames); diff != "" || cert.Subject.CommonName != "" {
			t.Errorf("%s: names (-want +got):\n%s CN %q", listener, diff, cert.Subject.CommonName)
		}
		if _, err := shake(s, listener, bootstrap, time.Now); err == nil {
			t.Errorf("%s still has the bootstrap certificate", listener)
		}
	}
}

func TestEndpointOfListeners(t *testing.T) {
	for endpoint, want := range map[string]pki.Kind{"globex.tls-server": pki.NotFound} {
		cfg := newConfig(t)
		cfg.TLS.Endpoint = endpoint
		if err := open(t, cfg, time.Now).RenewListeners(t.Context()); pki.KindOf(err) != want {
			t.Errorf("%s: %v, want %s", endpoint, err, want)
		}
	}
	cfg := newConfig(t)
	cfg.TLS.Endpoint = ""
	if err := open(t, cfg, time.Now).RenewListeners(t.Context()); err != nil {
		t.Errorf("none: %v", err)
	}
}

// TestRenewal: the certificate is made anew, with another key, at half of its
// life and not before, without a restart; where that fails the old one serves to
// its end.
func TestRenewal(t *testing.T) {
	const day = 24 * time.Hour
	clock := pandotest.NewClock(pandotest.Now().Add(time.Minute))
	s := open(t, newConfig(t), clock.Now)
	run(t, s)
	st := furnish(t, s, "acme", "tls-server")
	root := rootOf(t, s, "acme")
	protocols := func(p ...pki.Protocol) {
		t.Helper()
		err := patiently(func() error {
			_, err := s.enroll.UpdateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{Name: "tls-server", Protocols: p})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var serial, key string // of the certificate before
	for _, step := range []struct {
		name  string
		later time.Duration
		rest  bool // the endpoint takes REST
		fresh bool // the certificate is another than before
		err   bool
	}{
		{"the first", 0, true, true, false},
		{"at once", 0, true, false, false},
		{"before half of its 90 days", 44 * day, true, false, false},
		{"after half", 2 * day, true, true, false},
		{"at once again", 0, true, false, false},
		{"with the endpoint shut", 60 * day, false, false, false},
		{"with the endpoint open again", 0, true, true, false},
		{"shut beyond its end", 91 * day, false, false, true},
	} {
		if protocols(pki.ProtocolBatch); step.rest {
			protocols(pki.ProtocolREST)
		}
		later(t, s, clock, step.later) // afterwards: the server looks at its certificate by itself too
		if step.err {
			if s.RenewListeners(t.Context()) == nil {
				t.Fatalf("%s: it is renewed", step.name)
			}
			continue
		}
		var cert *x509.Certificate
		err := patiently(func() (err error) {
			if err = s.RenewListeners(t.Context()); err != nil {
				return err
			}
			// While nothing can be issued the old one serves, which is no error.
			if cert, err = shake(s, "https", root, clock.Now); err == nil && step.fresh && cert.SerialNumber.String() == serial {
				return pki.Errorf(pki.Unavailable, "the old certificate serves")
			}
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if fresh := cert.SerialNumber.String() != serial; fresh != step.fresh || fresh != (string(cert.RawSubjectPublicKeyInfo) != key) {
			t.Errorf("%s: another certificate %t, want %t, with a key of its own", step.name, fresh, step.fresh)
		}
		serial, key = cert.SerialNumber.String(), string(cert.RawSubjectPublicKeyInfo)
	}
}

// TestRestart: a restart goes on with the certificate, unless it is to have other
// names, more or fewer; the listeners have it before they serve.
func TestRestart(t *testing.T) {
	cfg := newConfig(t)
	var serials []string
	for i, names := range [][]string{{"localhost"}, {"localhost"}, {"localhost", "127.0.0.1"}, {"localhost"}} {
		cfg.TLS.Names = names
		s := open(t, cfg, time.Now)
		stop := run(t, s)
		if i == 0 {
			furnish(t, s, "acme", "tls-server")
			if err := s.RenewListeners(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		cert, err := shake(s, "https", rootOf(t, s, "acme"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(cert.DNSNames) + len(cert.IPAddresses); got != len(names) {
			t.Errorf("start %d: %d names, want %v", i, got, names)
		}
		serials = append(serials, cert.SerialNumber.String())
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	if serials[0] != serials[1] || serials[1] == serials[2] || serials[2] == serials[3] {
		t.Errorf("serials %v", serials)
	}
}

// TestUnauthorisedName: the endpoint decides which names the listeners have.
func TestUnauthorisedName(t *testing.T) {
	cfg := newConfig(t)
	cfg.TLS.Names = []string{"localhost", "evil.test"}
	s := open(t, cfg, time.Now)
	run(t, s)
	furnish(t, s, "acme", "tls-server")
	if err := s.RenewListeners(t.Context()); pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "evil.test") {
		t.Errorf("%v", err)
	}
}

func TestNewLogger(t *testing.T) {
	for _, level := range []string{"debug", "info", "warn", "error"} {
		for _, format := range []string{"text", "json"} {
			var written bytes.Buffer
			log, err := newLogger(Log{Level: level, Format: format}, &written)
			var want slog.Level
			if err := want.UnmarshalText([]byte(level)); err != nil {
				t.Fatal(err)
			}
			if err != nil || !log.Enabled(t.Context(), want) || log.Enabled(t.Context(), want-1) {
				t.Errorf("%s %s: %v", level, format, err)
			}
			log.Log(t.Context(), want, "a line")
			if isJSON := json.Valid(written.Bytes()); written.Len() == 0 || isJSON != (format == "json") {
				t.Errorf("%s %s: %q", level, format, &written)
			}
		}
	}
	for _, c := range []Log{{Level: "loud", Format: "text"}, {Level: "info", Format: "xml"}, {}} {
		if log, err := NewLogger(c); pki.KindOf(err) != pki.Malformed || log != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
