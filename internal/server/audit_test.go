package server

import (
	"cmp"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// TestCheckAnchors: anchors that no server can use are refused where they are read.
func TestCheckAnchors(t *testing.T) {
	bucket := &Bucket{Endpoint: "https://s3.example.com", Bucket: "anchor", Credentials: "env"}
	for _, test := range []struct {
		name         string
		anchor       Anchor
		every, bound time.Duration
		say          string // "" is none
	}{
		{name: "file", anchor: Anchor{File: "anchor"}},
		{name: "webhook", anchor: Anchor{Webhook: "https://anchor.example.com/", Secret: "env:NAME"}},
		{name: "bucket", anchor: Anchor{Bucket: bucket}},
		{name: "nothing", anchor: Anchor{}, say: "one of file, webhook and bucket"},
		{name: "two", anchor: Anchor{File: "a", Bucket: bucket}, say: "one of file, webhook and bucket"},
		{name: "plain http", anchor: Anchor{Webhook: "http://anchor.example.com/"}, say: "https://"},
		{name: "the secret itself", anchor: Anchor{Webhook: "https://anchor.example.com/", Secret: "hunter2"}, say: "file:PATH or env:NAME"},
		{name: "a secret of a file", anchor: Anchor{File: "a", Secret: "env:NAME"}, say: "belongs to a webhook"},
		{name: "reading a file", anchor: Anchor{File: "a", Read: true}, say: "read belongs to a webhook"},
		{name: "a bucket without a name", anchor: Anchor{Bucket: &Bucket{Endpoint: "https://s3.example.com", Credentials: "env"}}, say: "bucket"},
		{name: "too often", anchor: Anchor{File: "a"}, every: time.Second, say: "10s at least"},
		{name: "a bound within", anchor: Anchor{File: "a"}, every: time.Minute, bound: time.Minute, say: "twice that"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Audit.Anchors = []Anchor{test.anchor}
			cfg.Audit.AnchorEvery = cmp.Or(Duration(test.every), cfg.Audit.AnchorEvery)
			cfg.Audit.AnchorBound = cmp.Or(Duration(test.bound), cfg.Audit.AnchorBound)
			err := cfg.Check()
			if test.say == "" && err != nil || test.say != "" && (pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), test.say)) {
				t.Errorf("%v, want one that says %q", err, test.say)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats the secret")
			}
		})
	}
}

// TestWebhookSecret comes from where the configuration says.
func TestWebhookSecret(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("in a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PANDO_TEST_WEBHOOK", "in the environment")
	s := &Server{cfg: Config{Data: dir}}
	for source, want := range map[string]string{"": "", "file:secret": "in a file", "env:PANDO_TEST_WEBHOOK": "in the environment"} {
		if got, err := s.secretFrom(source, "a service"); err != nil || got.Reveal() != want {
			t.Errorf("%s: %v", source, err)
		}
	}
	for _, source := range []string{"file:none", "env:PANDO_TEST_NOTHING"} {
		if _, err := s.secretFrom(source, "a service"); pki.KindOf(err) != pki.Unavailable {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// TestWarnAnchors: anchors beside the database raise an alarm, and so do those elsewhere of
// which none can be read.
func TestWarnAnchors(t *testing.T) {
	webhook := Anchor{Webhook: "https://anchor.example.com/"}
	readable := webhook
	readable.Read = true
	for _, test := range []struct {
		anchors []Anchor
		want    string
	}{
		{[]Anchor{{File: "anchor"}}, "anchor.near"},
		{[]Anchor{{File: "anchor"}, webhook}, "anchor.blind"},
		{[]Anchor{webhook}, "anchor.blind"},
		{[]Anchor{{File: "anchor"}, readable}, ""},
		{[]Anchor{webhook, {Bucket: &Bucket{}}}, ""},
	} {
		s := &Server{cfg: Config{Data: t.TempDir(), Audit: Audit{Anchors: test.anchors}}, alarms: alarm.NewBoard(time.Now), log: slog.New(slog.DiscardHandler)}
		s.warnAnchors()
		got := ""
		for _, a := range s.alarms.All() {
			got += a.Name
		}
		if got != test.want {
			t.Errorf("%v: alarms %q, not %q", test.anchors, got, test.want)
		}
	}
}

// TestCheckWebhooks: two of one host could not be told apart in alarms.
func TestCheckWebhooks(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Audit.Anchors = []Anchor{{Webhook: "https://anchor.example.com/a"}, {Webhook: "https://anchor.example.com/b"}}
	if err := cfg.Check(); pki.KindOf(err) != pki.Malformed || !strings.Contains(pki.DetailOf(err), "another webhook") {
		t.Errorf("%v", err)
	}
}
