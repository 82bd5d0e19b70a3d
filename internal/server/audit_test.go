package server

import (
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
		{name: "a bucket without a name", anchor: Anchor{Bucket: &Bucket{Endpoint: "https://s3.example.com", Credentials: "env"}}, say: "bucket"},
		{name: "too often", anchor: Anchor{File: "a"}, every: time.Second, say: "10s at least"},
		{name: "a bound within", anchor: Anchor{File: "a"}, every: time.Minute, bound: time.Minute, say: "twice that"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{Audit: Audit{Anchors: []Anchor{test.anchor}, AnchorEvery: Duration(test.every), AnchorBound: Duration(test.bound)}}
			err := cfg.WithDefaults().Check()
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

// TestWarnNear: anchors beside the database raise an alarm; one elsewhere does not.
func TestWarnNear(t *testing.T) {
	for _, test := range []struct {
		anchors []Anchor
		want    int
	}{
		{[]Anchor{{File: "anchor"}}, 1},
		{[]Anchor{{File: "anchor"}, {Webhook: "https://anchor.example.com/"}}, 0},
	} {
		s := &Server{cfg: Config{Data: t.TempDir(), Audit: Audit{Anchors: test.anchors}}, alarms: alarm.NewBoard(time.Now), log: slog.New(slog.DiscardHandler)}
		s.warnNear()
		if got := s.alarms.All(); len(got) != test.want || test.want > 0 && got[0].Name != "anchor.near" {
			t.Errorf("%v: alarms %v", test.anchors, got)
		}
	}
}
