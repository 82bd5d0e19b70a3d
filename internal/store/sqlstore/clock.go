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
	return nil
}

// Clock implements issuance.Store.
func (s *Store) Clock(ctx context.Context) (time.Time, error) {
	at, err := one(ctx, s.read, scanInt, `SELECT value FROM counter WHERE name = 'clock'`)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("reading the store's clock: %w", err)
	}
	return fromMicros(at), nil
}

// AcceptClock implements issuance.Store.
func (s *Store) AcceptClock(ctx context.Context, now time.Time, e pki.Event) error {
	return s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO counter (name, value) VALUES ('clock', $1)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, micros(now))
		if err != nil {
			return fmt.Errorf("setting the store's clock: %w", err)
		}
		return t.event(e)
	})
}
