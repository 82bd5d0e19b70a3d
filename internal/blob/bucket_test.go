package blob

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pandotest/fakes3"
	"github.com/pando-pki/pando/internal/pki"
)

// TestBucketIgnoresConditions: a service that would overwrite is found out before
// anything is written that counts.
func TestBucketIgnoresConditions(t *testing.T) {
	s3 := fakes3.New(t)
	s3.IgnoreConditions = true
	b := openBucket(t, s3)
	wantKind(t, b.Create(t.Context(), "a", []byte("x"), ""), pki.PolicyRefused)
	_, err := b.Replace(t.Context(), "a", "", []byte("x"), "")
	wantKind(t, err, pki.PolicyRefused)
	if s3.Object("some/prefix/a") != nil {
		t.Error("it was written")
	}
}

func TestBucketAnswers(t *testing.T) {
	s3 := fakes3.New(t)
	b := openBucket(t, s3)
	if err := b.Create(t.Context(), "a", []byte("x"), ""); err != nil {
		t.Fatal(err)
	}
	for status, kind := range map[int]pki.Kind{
		http.StatusInternalServerError: pki.Unavailable, http.StatusServiceUnavailable: pki.Unavailable,
		http.StatusTooManyRequests: pki.Unavailable, http.StatusConflict: pki.Unavailable, http.StatusForbidden: pki.Forbidden,
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
	s3.Break(0)
	wrong := openBucket(t, s3)
	wrong.cfg.Bucket = "no-such-bucket"
	wantKind(t, wrong.Create(t.Context(), "a", nil, ""), pki.NotReady)
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
