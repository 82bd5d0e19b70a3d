package blob

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pandotest/fakes3"
	"github.com/pando-pki/pando/internal/pki"
)

// A service speaks the S3 protocol, and has a bucket for whoever has the credentials.
type service struct{ url, bucket, region, id, secret string }

// eachService runs a test on all services, with an empty bucket.
func eachService(t *testing.T, f func(t *testing.T, s service)) {
	services := map[string]func(t *testing.T) service{"fake": func(t *testing.T) service { return serviceOf(fakes3.New(t)) }}
	maps.Copy(services, others)
	for name, start := range services {
		t.Run(name, func(t *testing.T) { f(t, start(t)) })
	}
}

func serviceOf(s3 *fakes3.Service) service {
	return service{s3.URL, s3.Bucket, fakes3.Region, fakes3.AccessKeyID, fakes3.SecretAccessKey}
}

// open opens the bucket with a configuration that was changed, unless change is nil.
func (s service) open(t *testing.T, change func(*BucketConfig)) *Bucket {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("# of a test\n%s=%s\n%s = %s\n", accessKeyID, s.id, secretAccessKey, s.secret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := BucketConfig{Endpoint: s.url, Bucket: s.bucket, Prefix: "some/prefix", Region: s.region, Credentials: "file:" + file}
	if change != nil {
		change(&cfg)
	}
	b, err := OpenBucket(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBucketRefuses: an operator reads from an error what is to be set right.
func TestBucketRefuses(t *testing.T) {
	eachService(t, func(t *testing.T, good service) {
		long := []byte(strings.Repeat("x", 1<<20))
		if err := good.open(t, nil).Create(t.Context(), "a", long, ""); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			change func(s *service)
			kind   pki.Kind
			say    string
		}{
			"no bucket":      {func(s *service) { s.bucket = "no-such-bucket" }, pki.NotReady, "no bucket no-such-bucket at " + good.url},
			"no such key":    {func(s *service) { s.id = "ANOTHERKEY" }, pki.Forbidden, "InvalidAccessKeyId"},
			"another secret": {func(s *service) { s.secret = "guessed" }, pki.Forbidden, "SignatureDoesNotMatch"},
			"another region": {func(s *service) { s.region = "eu-none-1" }, pki.Unavailable, "AuthorizationHeaderMalformed"},
		} {
			s := good
			c.change(&s)
			b := s.open(t, nil)
			_, _, read := b.Read(t.Context(), "a", 1<<20)
			_, replace := b.Replace(t.Context(), "a", "", long, "")
			for act, err := range map[string]error{"read": read, "create": b.Create(t.Context(), "a", long, ""), "replace": replace, "remove": b.Remove(t.Context(), "a")} {
				if wantKind(t, err, c.kind); !strings.Contains(pki.DetailOf(err), c.say) || strings.Contains(err.Error(), s.secret) {
					t.Errorf("%s: %s: %v; want %q, and not the secret", name, act, err, c.say)
				}
			}
		}
		if got, _, err := good.open(t, nil).Read(t.Context(), "a", 1<<20); err != nil || len(got) != len(long) {
			t.Errorf("the object has %d bytes, %v", len(got), err)
		}
	})
}

// TestBucketIgnoresConditions: a service that would overwrite is found out before
// anything is written that counts.
func TestBucketIgnoresConditions(t *testing.T) {
	s3 := fakes3.New(t)
	s3.IgnoreConditions = true
	b := serviceOf(s3).open(t, nil)
	wantKind(t, b.Create(t.Context(), "a", []byte("x"), ""), pki.PolicyRefused)
	_, err := b.Replace(t.Context(), "a", "", []byte("x"), "")
	wantKind(t, err, pki.PolicyRefused)
	if s3.Object("some/prefix/a") != nil {
		t.Error("it was written")
	}
}

// TestBucketLosesAnswers: what is there answers for a write. It does not answer for the
// service's heeding of conditions.
func TestBucketLosesAnswers(t *testing.T) {
	s3 := fakes3.New(t)
	b := serviceOf(s3).open(t, nil)
	version, err := b.Replace(t.Context(), "pointer", "", []byte("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	s3.LoseAnswers = true
	if err := b.Create(t.Context(), "a", []byte("x"), ""); err != nil {
		t.Error(err)
	}
	wantKind(t, b.Create(t.Context(), "a", []byte("y"), ""), pki.Conflict)
	_, err = b.Replace(t.Context(), "pointer", version, []byte("two"), "")
	wantKind(t, err, pki.Conflict)
	if got := s3.Object("some/prefix/pointer"); string(got) != "two" {
		t.Errorf("the pointer has %q", got)
	}
	s3.IgnoreConditions = true
	wantKind(t, serviceOf(s3).open(t, nil).Create(t.Context(), "b", []byte("x"), ""), pki.Unavailable)
	if s3.Object("some/prefix/b") != nil {
		t.Error("it was written")
	}
}

func TestBucketAnswers(t *testing.T) {
	s3 := fakes3.New(t)
	b := serviceOf(s3).open(t, nil)
	if err := b.Create(t.Context(), "a", []byte("x"), ""); err != nil {
		t.Fatal(err)
	}
	for status, kind := range map[int]pki.Kind{
		http.StatusInternalServerError: pki.Unavailable, http.StatusServiceUnavailable: pki.Unavailable,
		http.StatusTooManyRequests: pki.Unavailable, http.StatusConflict: pki.Unavailable, http.StatusForbidden: pki.Forbidden,
		http.StatusNotFound:          pki.Unavailable, // not of the object, nor of the bucket
		http.StatusTemporaryRedirect: pki.Unavailable, http.StatusFound: pki.Unavailable,
	} {
		s3.Break(status)
		before := s3.Requests()
		_, _, err := b.Read(t.Context(), "a", 10)
		wantKind(t, err, kind)
		_, err = b.Replace(t.Context(), "a", "", []byte("y"), "")
		wantKind(t, err, kind)
		if n := s3.Requests() - before; n != 2 {
			t.Errorf("status %d: %d requests; want 2, none tried again", status, n)
		}
	}
}

func TestBucketCredentials(t *testing.T) {
	s3 := fakes3.New(t)
	open := func() *Bucket {
		b, err := OpenBucket(BucketConfig{Endpoint: s3.URL, Bucket: s3.Bucket, Region: fakes3.Region, Credentials: "env"})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Setenv(accessKeyID, "")
	if err := open().Create(t.Context(), "a", nil, ""); err == nil {
		t.Error("it wrote without credentials")
	}
	t.Setenv(accessKeyID, fakes3.AccessKeyID)
	t.Setenv(secretAccessKey, "another")
	err := open().Create(t.Context(), "a", nil, "")
	wantKind(t, err, pki.Forbidden)
	if strings.Contains(err.Error(), "another") {
		t.Errorf("the error tells the secret: %v", err)
	}
	t.Setenv(secretAccessKey, fakes3.SecretAccessKey)
	if err := open().Create(t.Context(), "a", nil, ""); err != nil {
		t.Error(err)
	}
}

func TestBucketConfig(t *testing.T) {
	good := BucketConfig{Endpoint: "https://s3.example.com", Bucket: "status", Credentials: "env"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*BucketConfig){
		func(c *BucketConfig) { c.Endpoint = "s3.example.com" },
		func(c *BucketConfig) { c.Endpoint = "ftp://s3.example.com" },
		func(c *BucketConfig) { c.Endpoint = "https://user:secret@s3.example.com" },
		func(c *BucketConfig) { c.Endpoint = "https://s3.example.com/bucket" },
		func(c *BucketConfig) { c.Bucket = "" },
		func(c *BucketConfig) { c.Bucket = "a/b/c" },
		func(c *BucketConfig) { c.Prefix = "../up" },
		func(c *BucketConfig) { c.Credentials = "" },
		func(c *BucketConfig) { c.Credentials = "file:" },
	} {
		c := good
		change(&c)
		wantKind(t, c.Check(), pki.Malformed)
	}
}

func FuzzParseCredentials(f *testing.F) {
	f.Add("AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n")
	f.Add("# comment\n\nAWS_SESSION_TOKEN = c\n")
	f.Add("other=1")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseCredentials(strings.NewReader(text))
		if err != nil && keys != nil {
			t.Error("an error comes with credentials")
		}
		for name, value := range keys {
			if value.IsZero() || !strings.Contains(text, name) {
				t.Errorf("%s is not from the text, or is empty", name)
			}
		}
	})
}
