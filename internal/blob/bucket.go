package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/pando-pki/pando/internal/pki"
)

// BucketConfig says where a bucket is.
type BucketConfig struct {
	Endpoint string // URL of the S3 service, as "https://s3.eu-central-1.amazonaws.com"
	Bucket   string
	Prefix   string // before each object's name, "" or as "status/demo"
	Region   string // "" is us-east-1, which services without regions take
	// Credentials is "env", for AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
	// AWS_SESSION_TOKEN, or "file:PATH", a file of lines NAME=VALUE with the same
	// names that only its owner can read. They are read for each request.
	Credentials string
}

// Check reports what is wrong with the configuration, as far as that can be told
// without asking the service: Malformed.
func (c BucketConfig) Check() error {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return pki.Errorf(pki.Malformed, "endpoint %.90q: write the URL of the S3 service without a path, as https://s3.example.com", c.Endpoint)
	}
	if err := checkName(c.Bucket); err != nil || strings.Contains(c.Bucket, "/") || len(c.Bucket) < 3 || len(c.Bucket) > 63 {
		return pki.Errorf(pki.Malformed, "bucket %.70q: a bucket's name has 3 to 63 letters, digits, dots and hyphens", c.Bucket)
	}
	if c.Prefix != "" {
		if err := checkName(c.Prefix); err != nil {
			return err
		}
	}
	return checkSource(c.Credentials)
}

// The time-outs of one connection; how long a request may take is the caller's
// context.
const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 60 * time.Second
	idleTimeout   = 60 * time.Second
)

// A Bucket keeps objects in a bucket of a service that speaks the S3 protocol and
// heeds If-None-Match: * and If-Match on PUT, which versitygw was seen to do in tests.
// A service that ignores them is refused before anything is written that counts. Its
// methods are safe for concurrent use.
//
// The bucket's name is in the path of requests, redirects are not followed, and
// nothing is tried twice: that is up to the caller. Of the version of an object
// the service's ETag is taken, which must differ for other content.
type Bucket struct {
	cfg    BucketConfig
	client minio.Core

	probing sync.Mutex
	probed  bool // guarded by probing: the service heeds conditions
}

// OpenBucket returns the bucket; the first request shows whether it is there.
func OpenBucket(cfg BucketConfig) (*Bucket, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds:  credentials.New(source{cfg.Credentials}),
		Secure: u.Scheme == "https", Region: cfg.Region, BucketLookup: minio.BucketLookupPath, MaxRetries: 1,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: headerTimeout,
			IdleConnTimeout:       idleTimeout,
			ForceAttemptHTTP2:     true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", cfg.Bucket, err)
	}
	return &Bucket{cfg: cfg, client: minio.Core{Client: client}}, nil
}

// String returns the endpoint, the bucket and the prefix.
func (b *Bucket) String() string {
	return strings.TrimRight(strings.TrimRight(b.cfg.Endpoint, "/")+"/"+b.cfg.Bucket+"/"+b.cfg.Prefix, "/")
}

// Kind says what objects are in, to those who are not to see where it is.
func (b *Bucket) Kind() string { return "bucket" }

// Create writes an object that never changes. One that is there with the same
// content is left alone; with other content it is Conflict.
func (b *Bucket) Create(ctx context.Context, name string, content []byte, contentType string) error {
	if err := b.probe(ctx); err != nil {
		return err
	}
	return b.create(ctx, name, content, contentType)
}

func (b *Bucket) create(ctx context.Context, name string, content []byte, contentType string) error {
	_, err := b.write(ctx, name, "", content, contentType)
	if pki.KindOf(err) != pki.Conflict {
		return err
	}
	have, _, err := b.Read(ctx, name, int64(len(content)))
	switch {
	case pki.KindOf(err) == pki.Malformed: // it is longer
		return errOther(name)
	case err != nil:
		return err
	case !bytes.Equal(have, content):
		return errOther(name)
	}
	return nil
}

// Replace writes an object whose version is the given one, and returns the new
// version; "" stands for an object that is not there. It is Conflict where the
// version is another, also by this write, if its answer was lost.
func (b *Bucket) Replace(ctx context.Context, name, version string, content []byte, contentType string) (string, error) {
	if err := b.probe(ctx); err != nil {
		return "", err
	}
	return b.write(ctx, name, version, content, contentType)
}

// Read returns an object and its version; NotFound where there is none, Malformed
// where it is longer than limit.
func (b *Bucket) Read(ctx context.Context, name string, limit int64) (content []byte, version string, err error) {
	key, err := b.key(name)
	if err != nil {
		return nil, "", err
	}
	body, info, _, err := b.client.GetObject(ctx, b.cfg.Bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, "", b.failed(name, "read", err)
	}
	defer body.Close()
	if err := checkSize(name, info.Size, limit); err != nil {
		return nil, "", err
	}
	if content, err = io.ReadAll(io.LimitReader(body, limit+1)); err != nil {
		return nil, "", b.failed(name, "read", err)
	}
	return content, info.ETag, checkSize(name, int64(len(content)), limit)
}

// Remove removes an object; one that is not there is no error.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	key, err := b.key(name)
	if err != nil {
		return err
	}
	if err := b.client.RemoveObject(ctx, b.cfg.Bucket, key, minio.RemoveObjectOptions{}); err != nil {
		return b.failed(name, "remove", err)
	}
	return nil
}

// write is put for what may be long. A service that refuses a write does not read all
// of it and ends the connection, by which the refusal may be lost; so after a write
// without an answer the version that is there answers.
func (b *Bucket) write(ctx context.Context, name, version string, content []byte, contentType string) (string, error) {
	now, err := b.put(ctx, name, version, content, contentType)
	var said minio.ErrorResponse
	if pki.KindOf(err) == pki.Unavailable && !errors.As(err, &said) && b.moved(ctx, name, version) {
		return "", errMoved(name)
	}
	return now, err
}

// moved reports whether an object is known to be at another version.
func (b *Bucket) moved(ctx context.Context, name, version string) bool {
	key, err := b.key(name)
	if err != nil {
		return false
	}
	info, err := b.client.StatObject(ctx, b.cfg.Bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return version != "" && pki.KindOf(b.failed(name, "read", err)) == pki.NotFound
	}
	return info.ETag != version
}

// put writes an object on the condition that its version is the given one.
func (b *Bucket) put(ctx context.Context, name, version string, content []byte, contentType string) (string, error) {
	key, err := b.key(name)
	if err != nil {
		return "", err
	}
	if err := checkSize(name, int64(len(content)), MaxObject); err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	// The hash is in the signature, so that the service refuses other bytes. Amazon S3
	// wants it in this header, too, where the bucket has object lock.
	options := minio.PutObjectOptions{ContentType: contentType, DisableContentSha256: true,
		UserMetadata: map[string]string{"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum[:])}}
	if version == "" {
		options.SetMatchETagExcept("*")
	} else {
		options.SetMatchETag(version)
	}
	info, err := b.client.PutObject(ctx, b.cfg.Bucket, key, bytes.NewReader(content), int64(len(content)), "", hex.EncodeToString(sum[:]), options)
	if err != nil {
		return "", b.failed(name, "write", err)
	}
	return info.ETag, nil
}

// probe sees once that the service heeds conditions: one that overwrites what must
// not change would do so without a word.
func (b *Bucket) probe(ctx context.Context) error {
	const name = "pando-conditional-writes"
	b.probing.Lock()
	defer b.probing.Unlock()
	if b.probed {
		return nil
	}
	if err := b.create(ctx, name, []byte("Conditional writes are tried on this object.\n"), "text/plain"); err != nil {
		return err
	}
	for _, version := range []string{"", strings.Repeat("0", 32)} {
		_, err := b.put(ctx, name, version, []byte("The service ignores conditions.\n"), "text/plain")
		switch {
		case err == nil:
			return pki.Errorf(pki.PolicyRefused, "the service of bucket %s ignores If-None-Match or If-Match: what is published there could be overwritten or go back; use one that heeds them", b)
		case pki.KindOf(err) != pki.Conflict:
			return err
		}
	}
	b.probed = true
	return nil
}

func (b *Bucket) key(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if b.cfg.Prefix == "" {
		return name, nil
	}
	return b.cfg.Prefix + "/" + name, nil
}

// failed gives an answer of the service, or of the network, its kind.
func (b *Bucket) failed(name, what string, err error) error {
	var said minio.ErrorResponse
	if !errors.As(err, &said) {
		return pki.Because(pki.Unavailable, err, "%s object %s: bucket %s does not answer", what, name, b)
	}
	switch { // 404 alone does not say what there is not: versitygw without accounts has it for an unknown access key
	case said.StatusCode == http.StatusForbidden, said.StatusCode == http.StatusUnauthorized:
		return pki.Because(pki.Forbidden, err, "%s object %s: bucket %s refuses the credentials with %.60q; they need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket", what, name, b, said.Code)
	case said.Code == minio.NoSuchBucket:
		return pki.Errorf(pki.NotReady, "there is no bucket %s at %s; make it", b.cfg.Bucket, b.cfg.Endpoint)
	case said.StatusCode == http.StatusPreconditionFailed, said.Code == minio.NoSuchKey && what == "write": // of a version that is not there any more
		return errMoved(name)
	case said.Code == minio.NoSuchKey:
		return errNone(name)
	}
	return pki.Because(pki.Unavailable, err, "%s object %s: bucket %s answers %d with %.60q", what, name, b, said.StatusCode, said.Code)
}
