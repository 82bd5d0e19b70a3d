package server

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/publish"
)

// checkPublish checks where status is published to.
func (c Config) checkPublish() error {
	names := make(map[string]bool)
	for i, t := range c.Status.Publish {
		field := fmt.Sprintf("status.publish[%d]", i)
		if err := pki.CheckSlug(field+".name", t.Name); err != nil {
			return err
		}
		switch {
		case names[t.Name]:
			return pki.Errorf(pki.Malformed, "%s.name: there are two targets %s", field, t.Name)
		case (t.Directory == "") == (t.Bucket == nil):
			return pki.Errorf(pki.Malformed, "%s: a target is a directory or a bucket", field)
		}
		names[t.Name] = true
		if t.Bucket != nil {
			if err := t.Bucket.config(c.Data).Check(); err != nil {
				return pki.Because(pki.Malformed, err, "%s.bucket: %s", field, pki.DetailOf(err))
			}
		}
	}
	return nil
}

// config returns the bucket as blob takes it; a relative file of credentials is
// taken from the data directory.
func (b *Bucket) config(data string) blob.BucketConfig {
	credentials := b.Credentials
	if path, ok := strings.CutPrefix(credentials, "file:"); ok && path != "" && !filepath.IsAbs(path) {
		credentials = "file:" + filepath.Join(data, path)
	}
	return blob.BucketConfig{Endpoint: b.Endpoint, Bucket: b.Bucket, Prefix: b.Prefix, Region: b.Region, Credentials: credentials}
}

// targets opens the places that status is published to.
func (c Config) targets() (map[string]publish.Target, error) {
	targets := make(map[string]publish.Target)
	for _, t := range c.Status.Publish {
		if t.Bucket == nil {
			path := t.Directory
			if !filepath.IsAbs(path) {
				path = filepath.Join(c.Data, path)
			}
			targets[t.Name] = blob.OpenDirectory(path)
			continue
		}
		bucket, err := blob.OpenBucket(t.Bucket.config(c.Data))
		if err != nil {
			return nil, err
		}
		targets[t.Name] = bucket
	}
	return targets, nil
}
