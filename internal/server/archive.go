package server

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/pando-pki/pando/internal/blob"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// defaultArchive is the directory of archives where none is named.
const defaultArchive = "archive"

// checkArchive checks where archives are written to.
func (c Config) checkArchive() error {
	p := c.Retention.Archive
	if (p.Directory == "") == (p.Bucket == nil) {
		return pki.Errorf(pki.Malformed, "retention.archive: name one of directory and bucket")
	}
	if p.Bucket != nil {
		if err := p.Bucket.config(c.Data).Check(); err != nil {
			return pki.Because(pki.Malformed, err, "retention.archive.bucket: %s", pki.DetailOf(err))
		}
	}
	return nil
}

// Archives opens the place of the archives.
func (c Config) Archives() (retention.Objects, error) {
	p := c.Retention.Archive
	if p.Bucket != nil {
		return blob.OpenBucket(p.Bucket.config(c.Data))
	}
	path := p.Directory
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Data, path)
	}
	return blob.OpenDirectory(path), nil
}

// wireRetention makes the service that archives.
func (s *Server) wireRetention() error {
	if s.cfg.Retention.Archive.Directory == defaultArchive {
		if err := os.MkdirAll(s.path(defaultArchive), 0o700); err != nil {
			return err
		}
	}
	objects, err := s.cfg.Archives()
	if err != nil {
		return err
	}
	s.retention = retention.New(retention.Config{Store: s.store, Objects: objects, Hashes: s.audit.Hashes,
		Requests: func(ctx context.Context, tenant pki.TenantID, id pki.BatchID, row int64) (int64, [][]byte, error) {
			return s.batch.Requests(ctx, tenant, id, row) // which is made later
		},
		Time: func() (time.Time, error) { return s.issuance.Time() }, Alarms: s.alarms, Gate: s.approvals, Now: s.now, Log: s.log})
	return nil
}
