package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/internal/pki"
)

// TestWritten: what a file says is taken or refused, and never replaced.
func TestWritten(t *testing.T) {
	const nothing = "nothing stands here"
	bucket := &Bucket{Endpoint: "https://s3.example.com", Bucket: "archives", Credentials: "env"}
	for text, want := range map[string]any{ // what it is refused with, or what sets it in the defaults
		"":                                     func(*Config) {},
		"# nothing\n":                          func(*Config) {},
		"limits:\n  # requests: 5\n":           func(*Config) {}, // a part of which each line is commented out
		"limits: {requests: 5}":                func(c *Config) { c.Limits.Requests = 5 },
		"limits: {tenant: {per_second: 7}}":    func(c *Config) { c.Limits.Tenant.PerSecond = 7 },
		"limits: {tenant: {per_second: 0}}":    "limits.tenant.per_second 0: from 1",
		"limits: {status: {burst: 0}}":         "limits.status.burst 0: from 1",
		"limits: {requests: 0}":                "limits.requests 0: from 1",
		"limits: {connections: 0}":             "limits.connections 0: from 1",
		"limits: {requests: -1}":               "limits.requests -1: from 1",
		"limits: {requests: 0.5}":              "has a fraction",
		"limits: {requests: 1.5}":              "has a fraction",
		"limits: {requests: .inf}":             "has a fraction",
		"node: '1.5'":                          func(c *Config) { c.Node = "1.5" },
		"limits: {requests: }":                 nothing,
		"limits: {tenant: }":                   nothing,
		"audit: {anchors: []}":                 "audit.anchors: an empty list",
		"audit: {anchors: }":                   nothing,
		"audit: {anchors: [{file: a}]}":        func(c *Config) { c.Audit.Anchors = []Anchor{{File: "a"}} },
		"audit: {anchor_every: 0s}":            "a time of nothing",
		"tls: {names: []}":                     "tls.names",
		"tls: {names: ['']}":                   nothing,
		"tls: {endpoint: |\n  }":               nothing,
		"tls: {endpoint: ''}":                  nothing,
		"est: {default: \"\"}":                 nothing,
		"audit: {anchors: [{secret: ''}]}":     nothing,
		"node: 1.0":                            "has a fraction",
		"node: ''":                             nothing,
		"node:":                                nothing,
		"data: ~":                              nothing,
		"listen: {https: ''}":                  nothing,
		"keys: {encryption: ''}":               nothing,
		"log: {level: ''}":                     nothing,
		"status: {check_networks: [~]}":        nothing,
		"status: {publish: []}":                func(*Config) {},
		"status: {ocsp_life: 1s}":              "status.ocsp_life 1s: 5m at least",
		"status: {ocsp_life: 4m59s}":           "status.ocsp_life 4m59s: 5m at least",
		"status: {ocsp_life: 5m}":              func(c *Config) { c.Status.OCSPLife = Duration(5 * time.Minute) },
		"status: {check_every: 0s}":            "a time of nothing",
		"retention: {archive: {}}":             "retention.archive: name one of directory and bucket",
		"retention: {archive: {dir: a}}":       "unknown field",
		"retention: {archive: {directory: a}}": func(c *Config) { c.Retention.Archive.Directory = "a" },
		"retention: {archive: {bucket: {endpoint: https://s3.example.com, bucket: archives, credentials: env}}}": func(c *Config) {
			c.Retention.Archive = Place{Bucket: bucket}
		},
	} {
		t.Run(text, func(t *testing.T) {
			got, err := ParseConfig([]byte(text), DefaultConfig())
			if err == nil {
				err = got.Check()
			}
			if say, refused := want.(string); refused {
				if err == nil || !strings.Contains(err.Error(), say) {
					t.Errorf("%v, want an error with %q", err, say)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			set := DefaultConfig()
			want.(func(*Config))(&set)
			if diff := cmp.Diff(set, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
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
	cfg := DefaultConfig()
	cfg.Status.CRLLife = Duration(time.Hour)
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
	cfg.Status.CRLLife--
	if err := cfg.Check(); pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "status.crl_life") {
		t.Errorf("59m59.999999999s: %v", err)
	}
}
