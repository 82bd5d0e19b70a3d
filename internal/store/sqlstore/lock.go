package sqlstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// lockEvery is how often the holder of a lock looks whether it is still the one.
const lockEvery = time.Second

// A lock keeps every other Store from a database, by an flock on a file beside it.
// It ends when that file is closed, and with the process at the latest. Whoever has
// the writer's turn owns it.
type lock struct {
	file     *os.File
	database string      // its path
	opened   os.FileInfo // what is to be there
	looked   time.Time   // when both files were last seen at their paths
	lost     string      // the path where one was not, once
}

// takeLock locks the database at path. SQLite's own locks would let two processes
// write in turn, each with numbers in memory that the other does not know.
func takeLock(path string) (*lock, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, pki.Errorf(pki.Conflict, "%s is in use by another pando: stop that one first, or ask it over its API instead of opening its data", path)
	}
	opened, statErr := os.Stat(path)
	if err = errors.Join(err, statErr); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return &lock{file: f, database: path, opened: opened}, nil
}

// held reports whether the locked file and the database are the ones at their paths,
// as they were lockEvery ago at the latest. Who deletes the first lets another process
// lock a new one, and write too; who replaces the second has what is committed go
// nowhere. Once lost is lost for good, since this process cannot know what happened
// since.
func (l *lock) held() (bool, error) {
	now := time.Now()
	if l.lost != "" || now.Sub(l.looked) < lockEvery {
		return l.lost == "", nil
	}
	own, err := l.file.Stat()
	if err != nil {
		return false, err
	}
	for path, file := range map[string]os.FileInfo{l.file.Name(): own, l.database: l.opened} {
		there, err := os.Stat(path)
		switch {
		case err == nil && !os.SameFile(file, there), errors.Is(err, fs.ErrNotExist):
			l.lost = path
			return false, nil
		case err != nil:
			return false, err
		}
	}
	l.looked = now
	return true, nil
}

// checkLock refuses to commit where the database may be another process's too.
func (s *Store) checkLock() error {
	held, err := s.lock.held()
	if held {
		return nil
	}
	if err == nil && s.alarms != nil {
		s.raise(alarm.Alarm{
			Key: alarm.Key{Name: "store.unlocked"}, Severity: alarm.Critical,
			What: fmt.Sprintf("%s was deleted or replaced while this server had it open, and another pando may write to the database: nothing is issued or changed", s.lock.lost),
			Do:   "Stop every pando that works on this data directory, this server too, run 'pando check', and start one again. Never delete the lock file: it is free as soon as its process has ended.",
		})
	}
	return &pki.Error{Kind: pki.Unavailable, Cause: err,
		Detail: "this server cannot be sure that it alone has its database, and stores nothing: the alarms tell its operator what to do"}
}
