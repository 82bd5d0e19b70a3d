package validator

import (
	"context"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// renewAfter is how old what is held must be before a service's word that it is bad has it
// asked for anew: one whose requests are answered so each time does not have all others wait
// for a token each time.
const renewAfter = 10 * time.Second

// A fetched is something of somebody else's that is held for as long as it is good, and asked
// for once where several want it.
type fetched[T any] struct {
	now  pki.Clock
	turn chan struct{} // of whoever asks for it

	mu      sync.Mutex // guards the rest
	value   T
	version uint64 // 0 is none
	from    time.Time
	until   time.Time
}

func newFetched[T any](now pki.Clock) *fetched[T] {
	return &fetched[T]{now: now, turn: make(chan struct{}, 1)}
}

// get returns what is held, or what fetch returns, which says how long it is good. What has
// the version not is not wanted: others have it until there is another.
func (f *fetched[T]) get(ctx context.Context, not uint64, fetch func() (T, time.Duration, error)) (value T, version uint64, err error) {
	if value, version, ok := f.have(not); ok {
		return value, version, nil
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return value, 0, ctx.Err()
	}
	if value, version, ok := f.have(not); ok {
		return value, version, nil
	}
	value, life, err := fetch()
	if err != nil {
		return value, 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value, f.version, f.from = value, f.version+1, f.now()
	f.until = f.from.Add(life)
	return f.value, f.version, nil
}

func (f *fetched[T]) have(not uint64) (value T, version uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.value, f.version, f.version > not && f.now().Before(f.until)
}

// renewable reports whether it is worth a second try after one with a version was told that it
// is bad: there is another already, or it is old enough to be asked for anew. Version 0 is
// what is configured, of which there is no other.
func (f *fetched[T]) renewable(version uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return version > 0 && (f.version != version || f.now().Sub(f.from) >= renewAfter)
}
