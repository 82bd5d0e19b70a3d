package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
)

// wellAfter is how long no transaction may fail for lack of writing until the database
// counts as well again: on a full disk small ones are written now and then.
const wellAfter = time.Minute

// A failing database is one that could not be written. Its zero value could.
type failing struct {
	mu   sync.Mutex
	last time.Time // when a transaction could not be written, zero where the alarm does not stand; guarded by mu
}

// tell raises an alarm where a transaction could not be written, and clears it with one
// that was, where none failed for wellAfter.
func (s *Store) tell(err error) {
	if s.alarms == nil {
		return
	}
	key := alarm.Key{Name: "store.failing"}
	s.failing.mu.Lock()
	defer s.failing.mu.Unlock()
	switch {
	case cannotWrite(err):
		s.failing.last = time.Now()
		s.raise(alarm.Alarm{
			Key: key, Severity: alarm.Critical,
			What: "the database cannot be written: nothing is issued or changed until it can",
			Do:   "The server's log has the error. Look for a disk that is full, fails or is read-only, and for another program that holds the database, as a copy of it that is being made. It goes on by itself once that is mended; the alarm goes a minute after the last failure.",
		})
	case err == nil && !s.failing.last.IsZero() && time.Since(s.failing.last) >= wellAfter:
		s.failing.last = time.Time{}
		s.alarms.Clear(key)
	}
}

// raise puts an alarm on the board and logs it where it is new.
func (s *Store) raise(a alarm.Alarm) {
	if s.alarms.Raise(a) && s.log != nil {
		s.log.ErrorContext(context.Background(), "alarm", "name", a.Name, "target", a.Target, "what", a.What)
	}
}
