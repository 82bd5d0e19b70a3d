package anchor_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/anchor"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/pandotest/fakeanchor"
	"github.com/pando-pki/pando/internal/pandotest/fakes3"
	"github.com/pando-pki/pando/internal/pki"
)

// checkpoint returns a text of the form of a signed checkpoint; no anchor verifies
// one.
func checkpoint(deployment string, tenant pki.TenantID, size int) string {
	return fmt.Sprintf("%s\n%d\nroot\ntime\n\n\u2014 key %s\n", audit.Origin(deployment, tenant), size, base64.StdEncoding.EncodeToString(make([]byte, 68)))
}

// each runs a part of the contract on each anchor that can be read; reopen makes it
// anew from the same place.
func each(t *testing.T, run func(t *testing.T, reopen func() auditlog.Reader)) {
	t.Run("file", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "anchor")
		run(t, func() auditlog.Reader { return anchor.NewFile(dir) })
	})
	t.Run("bucket", func(t *testing.T) {
		s3 := fakes3.New(t)
		credentials := filepath.Join(t.TempDir(), "credentials")
		text := fmt.Sprintf("AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", fakes3.AccessKeyID, fakes3.SecretAccessKey)
		if err := os.WriteFile(credentials, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, func() auditlog.Reader {
			b, err := blob.OpenBucket(blob.BucketConfig{Endpoint: s3.URL, Bucket: s3.Bucket, Prefix: "log", Region: fakes3.Region, Credentials: "file:" + credentials})
			if err != nil {
				t.Fatal(err)
			}
			return anchor.NewBucket(b)
		})
	})
	t.Run("webhook", func(t *testing.T) {
		service := fakeanchor.New(t)
		run(t, func() auditlog.Reader {
			w, err := anchor.NewWebhook(service.URL, pki.NewSecret(fakeanchor.Secret))
			if err != nil {
				t.Fatal(err)
			}
			return anchor.ReadableWebhook{Webhook: w}
		})
	})
}

// TestNoCheckpoints: what is no checkpoint, or a refusal, is not an anchor that has none.
func TestNoCheckpoints(t *testing.T) {
	service := fakeanchor.New(t)
	webhook, err := anchor.NewWebhook(service.URL, pki.NewSecret(fakeanchor.Secret))
	if err != nil {
		t.Fatal(err)
	}
	a := anchor.ReadableWebhook{Webhook: webhook}
	for what, answer := range map[string]func(){
		"a page": func() { service.Set(map[string]string{"page": "<html>\n\nhello\n"}) },
		"404":    func() { service.Fail(http.StatusNotFound) },
		"405":    func() { service.Fail(http.StatusMethodNotAllowed) },
		"302":    func() { service.Fail(http.StatusFound) },
		"500":    func() { service.Fail(http.StatusInternalServerError) },
		"an endless one": func() {
			service.Fail(0)
			service.Set(map[string]string{"long": strings.Repeat(checkpoint("d", "acme", 1)+"\n", 130_000)})
		},
	} {
		answer()
		if notes, err := a.Newest(t.Context(), "d", nil); err == nil {
			t.Errorf("%s: %d checkpoints", what, len(notes))
		}
	}
}

// newest returns what an anchor has, in order.
func newest(t *testing.T, a auditlog.Reader, origins ...string) []string {
	t.Helper()
	notes, err := a.Newest(t.Context(), "d", origins)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(notes)
	return notes
}

// TestNewest: what was put is there again, the newest of each log.
func TestNewest(t *testing.T) {
	each(t, func(t *testing.T, reopen func() auditlog.Reader) {
		a := reopen()
		if got := newest(t, a); len(got) != 0 {
			t.Errorf("a new anchor has %q", got)
		}
		for size := range 300 {
			tenant := []pki.TenantID{pki.Platform, "acme"}[size%2]
			if err := a.Put(t.Context(), checkpoint("d", tenant, size+1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Put(t.Context(), checkpoint("d", "acme", 300)); err != nil { // again
			t.Fatal(err)
		}
		want := []string{checkpoint("d", pki.Platform, 299), checkpoint("d", "acme", 300)}
		if got := newest(t, reopen(), audit.Origin("d", "acme")); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestAnotherDeployment shows in what an anchor has.
func TestAnotherDeployment(t *testing.T) {
	each(t, func(t *testing.T, reopen func() auditlog.Reader) {
		other := checkpoint("another", "acme", 7)
		if err := reopen().Put(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if got := newest(t, reopen(), audit.Origin("d", "acme")); !slices.Equal(got, []string{other}) {
			t.Errorf("%q", got)
		}
	})
}

// TestTornFile: a write that was cut off costs no other checkpoint.
func TestTornFile(t *testing.T) {
	dir := t.TempDir()
	a := anchor.NewFile(dir)
	first, second, third := checkpoint("d", "acme", 1), checkpoint("d", "acme", 2), checkpoint("d", "acme", 3)
	path := filepath.Join(dir, "pando.d.tenant.acme.checkpoints")
	for cut := range len(second) - 1 { // with all but its last newline it is whole
		if err := os.WriteFile(path, []byte(first+"\n"+second[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := newest(t, a); !slices.Equal(got, []string{first}) {
			t.Fatalf("cut at %d: %q", cut, got)
		}
		if err := a.Put(t.Context(), third); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := audit.SplitNotes(string(text)); !slices.Equal(got, []string{first, third}) {
			t.Fatalf("cut at %d: %q", cut, got)
		}
	}
}

// TestLost: a file anchor notices that what it took, or was read at the start, is gone, and
// takes the next checkpoint.
func TestLost(t *testing.T) {
	for what, lose := range map[string]func(dir string) error{
		"the directory is moved": func(dir string) error { return os.Rename(dir, dir+".away") },
		"a file is removed":      func(dir string) error { return os.Remove(filepath.Join(dir, "pando.d.tenant.acme.checkpoints")) },
		"a file is cut":          func(dir string) error { return os.Truncate(filepath.Join(dir, "pando.d.tenant.acme.checkpoints"), 10) },
	} {
		dir := filepath.Join(t.TempDir(), "anchor")
		put := func(a *anchor.File, size int) {
			t.Helper()
			if err := a.Put(t.Context(), checkpoint("d", "acme", size)); err != nil {
				t.Fatal(err)
			}
		}
		a := anchor.NewFile(dir)
		put(a, 1)
		put(a, 2)
		if a.Lost() {
			t.Errorf("%s: before that", what)
		}
		again := anchor.NewFile(dir) // as a start does
		newest(t, again)
		if err := lose(dir); err != nil {
			t.Fatal(err)
		}
		put(a, 3)
		if !a.Lost() {
			t.Errorf("%s: not noticed", what)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		put(again, 3)
		put(again, 4)
		if !again.Lost() {
			t.Errorf("%s: not noticed by who read it", what)
		}
		if got := newest(t, again); !slices.Equal(got, []string{checkpoint("d", "acme", 4)}) {
			t.Errorf("%s: then it has %q", what, got)
		}
	}
}

// TestLostBucket: so does a bucket.
func TestLostBucket(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		objects := blob.OpenDirectory(t.TempDir())
		a := anchor.NewBucket(objects)
		for size := range 3 {
			if err := a.Put(t.Context(), checkpoint("d", "acme", size+1)); err != nil {
				t.Fatal(err)
			}
		}
		if a.Lost() {
			t.Error("before anything is gone")
		}
		if restarted {
			a = anchor.NewBucket(objects)
			newest(t, a, audit.Origin("d", "acme"))
		}
		if err := objects.Remove(t.Context(), audit.Origin("d", "acme")+"/newest"); err != nil {
			t.Fatal(err)
		}
		if err := a.Put(t.Context(), checkpoint("d", "acme", 4)); err != nil || !a.Lost() {
			t.Errorf("restarted %t: not noticed, %v", restarted, err)
		}
	}
}

// TestFileNotMade: beneath a mount point that is not there nothing is made.
func TestFileNotMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mount", "anchor")
	if err := anchor.NewFile(dir).Put(t.Context(), checkpoint("d", "acme", 1)); err == nil {
		t.Error("it was made")
	}
}

// TestWebhook posts to a service and believes it only when it takes what it gets.
func TestWebhook(t *testing.T) {
	const secret = "a secret of a webhook"
	var got, signature string
	status := http.StatusNoContent
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, signature = string(body), r.Header.Get("Pando-Signature")
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(status)
	}))
	defer srv.Close()
	a, err := anchor.NewWebhook(srv.URL+"/path-with-a-secret", pki.NewSecret(secret))
	if err != nil {
		t.Fatal(err)
	}
	note := checkpoint("d", "acme", 1)
	if err := a.Put(t.Context(), note); err != nil {
		t.Error(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(note))
	if got != note || signature != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("got %q under %q", got, signature)
	}
	for _, status = range []int{http.StatusFound, http.StatusForbidden, http.StatusInternalServerError} {
		if err := a.Put(t.Context(), note); err == nil || strings.Contains(err.Error(), "path-with-a-secret") {
			t.Errorf("%d: %v", status, err)
		}
	}
	srv.Close()
	for _, text := range []string{a.Name(), fmt.Sprint(a.Put(t.Context(), note))} {
		if strings.Contains(text, "path-with-a-secret") || strings.Contains(text, secret) {
			t.Errorf("%q tells what is secret", text)
		}
	}
}
