package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pki"
)

func TestWithDefaults(t *testing.T) {
	want := Config{
		Data: "/data", Node: "node-1",
		Listen:    Listen{HTTPS: "127.0.0.1:8443", Devices: "127.0.0.1:8444", HTTP: "127.0.0.1:8080", Ops: "127.0.0.1:9090"},
		Keys:      Keys{Encryption: "file:kek.key"},
		TLS:       TLS{Names: []string{"localhost", "127.0.0.1", "::1"}},
		Status:    Status{CRLLife: Duration(24 * time.Hour), OCSPLife: Duration(12 * time.Hour), CheckEvery: Duration(time.Minute)},
		Audit:     Audit{Anchors: []Anchor{{File: "anchor"}}, AnchorEvery: Duration(time.Minute), AnchorBound: Duration(10 * time.Minute)},
		Retention: Retention{IdempotencyKeys: Duration(720 * time.Hour), BatchRows: Duration(2160 * time.Hour), Archive: Place{Directory: "archive"}},
		Limits: Limits{Tenant: Rate{10_000, 20_000}, Device: Rate{1, 20}, Failures: Rate{10, 100}, Status: Rate{1000, 5000},
			Requests: 1024, Streams: 256, Answers: 2048, Messages: 512, Connections: 16_384, ConnectionsPerSource: 1024},
		Log: Log{Level: "info", Format: "text"},
	}
	got := Config{Data: "/data"}.WithDefaults()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("of nothing (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, got.WithDefaults()); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	set := Config{
		Data: "/data", Node: "b", Listen: Listen{HTTPS: "a:1", Devices: "a:2", HTTP: "a:3", Ops: "a:4"},
		Keys: Keys{Encryption: "env:KEK"}, TLS: TLS{Endpoint: "acme.tls", Names: []string{"a"}},
		Retention: Retention{IdempotencyKeys: 1, BatchRows: 2, Archive: Place{Directory: "elsewhere"}},
		Limits:    Limits{Rate{1, 2}, Rate{12, 13}, Rate{3, 4}, Rate{5, 6}, 7, 8, 9, 10, 11, 12},
		Status:    Status{CRLLife: 1, OCSPLife: 2, CheckEvery: 3},
		Audit:     Audit{Anchors: []Anchor{{Webhook: "https://a"}}, AnchorEvery: 1, AnchorBound: 2}, Log: Log{Level: "warn", Format: "json"},
	}
	if diff := cmp.Diff(set, set.WithDefaults()); diff != "" {
		t.Errorf("of what is set (-want +got):\n%s", diff)
	}
}

func TestKeySource(t *testing.T) {
	for source, want := range map[string]string{
		"file:kek.key":      "file:/data/kek.key",
		"file:keys/kek.key": "file:/data/keys/kek.key",
		"file:/etc/kek.key": "file:/etc/kek.key",
		"env:KEK":           "env:KEK",
		"kek.key":           "kek.key",
		"":                  "",
	} {
		if got := (Config{Data: "/data"}).KeySource(source); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	var d Duration
	for _, text := range []string{"", "0s", "0d", "-1h", "1", "1w", "1h "} {
		if err := d.UnmarshalText([]byte(text)); pki.KindOf(err) != pki.Malformed || err == nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := d.UnmarshalText([]byte("2d12h")); err != nil || time.Duration(d) != 60*time.Hour {
		t.Errorf("%s, %v", time.Duration(d), err)
	}
	if text, err := d.MarshalText(); err != nil || string(text) != "2d12h" {
		t.Errorf("%s, %v", text, err)
	}
}

// TestCRLLife: with the shortest life that is taken a delta, of a quarter of it, is not
// due when it is made; the same of a full CRL.
func TestCRLLife(t *testing.T) {
	cfg := Config{Data: "/data"}.WithDefaults()
	cfg.Status.CRLLife = Duration(time.Hour)
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
	cfg.Status.CRLLife--
	if err := cfg.Check(); pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "status.crl_life") {
		t.Errorf("59m59.999999999s: %v", err)
	}
}
