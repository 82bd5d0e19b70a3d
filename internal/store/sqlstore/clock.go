package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// tick moves the store's clock on to now, never back.
func (t *tx) tick(now time.Time) error {
	_, err := t.exec(`INSERT INTO counter (name, value) VALUES ('clock', $1)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE counter.value < excluded.value`, micros(now))
	if err != nil {
		return fmt.Errorf("moving the store's clock: %w", err)
	}
	t.ticked = max(t.ticked, micros(now))
	return nil
}

// publishClock has Clock know what was committed.
func (s *Store) publishClock(ticked int64) {
	if known := s.clock.Load(); known != 0 && ticked > known {
		s.clock.Store(ticked)
	}
}

// Clock implements issuance.Store. It is asked before each commit of certificates;
// no other process writes to the database (see takeLock).
func (s *Store) Clock(ctx context.Context) (time.Time, error) {
	if known := s.clock.Load(); known != 0 {
		return fromMicros(known), nil
	}
	at, err := one(ctx, s.read, scanInt, `SELECT value FROM counter WHERE name = 'clock'`)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("reading the store's clock: %w", err)
	}
	s.clock.CompareAndSwap(0, at)
	return fromMicros(at), nil
}

// AcceptClock implements issuance.Store.
func (s *Store) AcceptClock(ctx context.Context, now time.Time, e pki.Event) error {
	err := s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO counter (name, value) VALUES ('clock', $1)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, micros(now))
		if err != nil {
			return fmt.Errorf("setting the store's clock: %w", err)
		}
		return t.event(e)
	})
	if err == nil {
		s.clock.Store(micros(now))
	}
	return err
}
