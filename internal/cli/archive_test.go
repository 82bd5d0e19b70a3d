package cli

import (
	"bytes"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestArchiveVerify checks an object offline, alone and against an export, and one
// that was cut off.
func TestArchiveVerify(t *testing.T) {
	clock := pandotest.NewClock(time.Now())
	s := stack.New(t, stack.Config{Now: clock.Now})
	s.AddTenant(t, "acme", "tls-server")
	log := s.NewLog(t)
	ctx := t.Context()
	for _, name := range []string{"a.example.com", "b.example.com"} {
		if _, err := s.Enroll.Enroll(ctx, enroll.Request{Grant: s.Permit(t, "acme", access.Enroll), Endpoint: "tls-server", Protocol: pki.ProtocolREST,
			Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: name}, name)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	clock.Advance(200 * 24 * time.Hour)
	if _, err := s.Retention.Set(ctx, s.Permit(t, "acme", access.ManageRetention), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.Retention.Round(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if err := log.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	e, err := log.Export(ctx, s.Permit(t, "acme", access.ReadEvents), time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := e.Write(ctx, &text); err != nil {
		t.Fatal(err)
	}
	objects, err := filepath.Glob(filepath.Join(s.Archives.String(), "acme", "*.gz"))
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	object, err := os.ReadFile(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	export, cut := write("log.ndjson", text.Bytes()), write("cut.gz", object[:len(object)/2])
	early := write("early.ndjson", bytes.Replace(text.Bytes(), []byte("archive.write"), []byte("archive.other"), 1))
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{objects[0]}, exitDone, "It is whole in itself; it was not held against a log"},
		{[]string{objects[0], "--export", export}, exitDone, "It is what the log says, to the byte."},
		{[]string{objects[0], "--export", export, "--json"}, exitDone, `"logged": 1`},
		{[]string{objects[0], "--export", early}, exitRefused, "does not say that this archive was written"},
		{[]string{objects[0], "--export", export, "--key", "another"}, exitRefused, "key"},
		{[]string{cut}, exitRefused, "of the archive: it ends in the middle"},
		{[]string{export}, exitRefused, "not an archive"},
	} {
		var stdout, stderr strings.Builder
		status := Run(ctx, append([]string{"archive", "verify"}, c.args...), strings.NewReader(""), &stdout, &stderr)
		if out := stdout.String() + stderr.String(); status != c.status || !strings.Contains(out, c.says) {
			t.Errorf("%v: %d %s", c.args[1:], status, out)
		}
	}
}
