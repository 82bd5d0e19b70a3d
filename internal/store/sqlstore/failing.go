package sqlstore

import "github.com/pando-pki/pando/internal/alarm"

// tell raises an alarm where a transaction could not be written, and clears it with the
// next that was.
func (s *Store) tell(err error) {
	key := alarm.Key{Name: "store.failing"}
	switch {
	case s.alarms == nil:
	case cannotWrite(err):
		s.failing.Store(true)
		s.alarms.Raise(alarm.Alarm{
			Key: key, Severity: alarm.Critical,
			What: "the database cannot be written: nothing is issued or changed until it can",
			Do:   "The server's log has the error. Look for a disk that is full, fails or is read-only, and for another program that holds the database, as a copy of it that is being made. It goes on by itself once that is mended; the alarm goes with the next write.",
		})
	case err == nil && s.failing.CompareAndSwap(true, false):
		s.alarms.Clear(key)
	}
}
