package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/expiry"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/trace"
	"github.com/pando-pki/pando/internal/trust"
)

// Options are settings of the embedded database. The zero value has defaults
// for everything.
type Options struct {
	WriterCacheMiB int // page cache of the one writing connection; 0 is 20, what all share (see sharePages)
	ReaderCacheMiB int // page cache of each reading connection; 0 is 2
	Readers        int // reading connections; 0 is 8

	Gate   *audit.Gate  // says whether acts may be stored; nil is always
	Alarms *alarm.Board // told when the database cannot be written, or another process may have it; nil for nobody
	Log    *slog.Logger // has each alarm once; nil for no log

	synchronous string // for the test that anything but FULL is refused
	recent      int    // for tests, how many claims gather before they are moved; 0 is recentClaims
}

// Store is the embedded store, on SQLite. Its methods are safe for concurrent
// use. There is one writer; readers see what was committed before they began.
type Store struct {
	path    string
	lock    *lock // held while the store is open
	alarms  *alarm.Board
	log     *slog.Logger
	failing failing // see tell
	times   *stat.Histogram
	gate    *audit.Gate
	write   *writer
	read    *readers
	refs    refs
	issuers issuers
	ders    references
	barring barring
	recent  recent
	quotas  quotas
	clock   atomic.Int64 // the store's clock, where it was read; 0 where not
	blocked atomic.Int32 // whether there are keys on the block list: see KeyBlocked
}

var (
	_ issuance.Store           = (*Store)(nil)
	_ revocation.Store         = (*Store)(nil)
	_ hierarchy.Store          = (*Store)(nil)
	_ enroll.Store             = (*Store)(nil)
	_ batch.Store              = (*Store)(nil)
	_ access.TokenStore        = (*Store)(nil)
	_ keystore.Store           = (*Store)(nil)
	_ keystore.CredentialStore = (*Store)(nil)
	_ check.Store              = (*Store)(nil)
	_ expiry.Store             = (*Store)(nil)
	_ trust.Store              = (*Store)(nil)
	_ registry.Store           = (*Store)(nil)
	_ auditlog.Store           = (*Store)(nil)
	_ trace.Store              = (*Store)(nil)
	_ quota.Store              = (*Store)(nil)
)

// Open opens the database file at path, which it creates with mode 0600 where
// there is none, and brings its schema up to date. One Store at a time can have
// a file open: a file path+".lock" is locked for as long, and a second Open, in
// this process or another, fails. A Store whose lock file was deleted or replaced
// commits nothing any more. It also fails where commits would not be durable.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	o.WriterCacheMiB = cmp.Or(o.WriterCacheMiB, 20)
	o.ReaderCacheMiB = cmp.Or(o.ReaderCacheMiB, 2)
	o.Readers = cmp.Or(o.Readers, 8)
	o.recent = cmp.Or(o.recent, recentClaims)
	o.synchronous = cmp.Or(o.synchronous, "FULL")
	path, err := create(path)
	if err != nil {
		return nil, notOpened(path, err)
	}
	lock, err := takeLock(path)
	if err != nil {
		return nil, notOpened(path, err)
	}
	s := &Store{path: path, lock: lock, alarms: o.Alarms, log: o.Log, gate: o.Gate, times: stat.NewHistogram(stat.Seconds()...), recent: recent{limit: o.recent}}
	if err := s.open(ctx, path, o); err != nil {
		return nil, errors.Join(notOpened(path, err), s.Close())
	}
	return s, nil
}

// notOpened returns the error of Open, with what to do where the disk takes no write: the
// database's own say neither.
func notOpened(path string, err error) error {
	switch {
	case noSpace(err):
		return pki.Because(pki.Unavailable, err, "opening the database %s: its disk is full, or a quota on it is used up: make room, and start again", path)
	case readOnly(err):
		return pki.Because(pki.Unavailable, err, "opening the database %s: its files are read-only here, and whoever only reads it writes beside it, too: make them writable, or copy them, with %s-wal where there is one, to a place that is", path, filepath.Base(path))
	case pki.KindOf(err) == pki.Conflict:
		return err
	}
	return fmt.Errorf("opening the database %s: %w", path, err)
}

// create makes the file where there is none and returns its one path without
// symbolic links: a database has one lock, by whatever name it is opened. SQLite
// would create the file with the process's umask; its -wal and -shm files get the
// mode of the file itself.
func create(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return path, err
	}
	if err := f.Close(); err != nil {
		return path, err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, err
	}
	return filepath.Abs(real)
}

func (s *Store) open(ctx context.Context, path string, o Options) error {
	db, err := writerDB(path, o)
	if err != nil {
		return err
	}
	if s.write, err = newWriter(ctx, db); err != nil {
		return err
	}
	rdb, err := readerDB(path, o)
	if err != nil {
		return err
	}
	s.read = &readers{db: rdb, stmts: map[string]*sql.Stmt{}}
	return rdb.PingContext(ctx)
}

// Close waits for the transaction in progress, closes the database and releases
// its lock. The store cannot be used afterwards.
func (s *Store) Close() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.db.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.close())
	}
	return errors.Join(append(errs, s.lock.file.Close())...)
}
