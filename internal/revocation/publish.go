package revocation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

const (
	// poll is how often RunCRL looks for entries of other processes, and for
	// serials that became void.
	poll = time.Second
	// pause is the shortest time between two looks.
	pause = 100 * time.Millisecond
	// minInterval is the shortest time between two CRLs of a shard; it is
	// longer, costFactor times, than the last one took to make, so that making
	// CRLs takes less than a tenth of the time whatever their size.
	minInterval = time.Second
	costFactor  = 10
	// buildDeadline ends an attempt whose key does not answer, and
	// maxBackoff is the longest time until the next after one that failed.
	buildDeadline = 5 * time.Minute
	maxBackoff    = time.Minute
	// turn is how many CRLs of one issuer are made before the next issuer has
	// its turn: one tenant's shards hold up nobody else's.
	turn = 16

	// deltaShare is how many delta CRLs' lives are one of a full CRL.
	deltaShare = 4
)

// A pace is when RunCRL may try something again, on this process's monotonic
// clock.
type pace struct {
	next     time.Time
	failures int
}

// looking is the key of pace for looking what is due.
var looking = List{Shard: AllShards}

// RunCRL keeps the CRLs of every online issuer fresh until ctx ends: it makes
// one where there is none, where entries are not in it yet, and before half
// of its life is over. Errors are logged and tried again; they do not end it. One
// process of a deployment is enough; several only do the work more than once.
func (s *Service) RunCRL(ctx context.Context) error {
	s.dropGone(ctx) // a process before this one may have ended with some left
	for ctx.Err() == nil {
		if _, err := s.publish(ctx, true); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "CRLs", "error", err)
		}
		sleep(ctx, pause, nil)
		sleep(ctx, poll-pause, s.wake)
	}
	return nil
}

// sleep returns after d, or when ctx ends, or when it receives from wake.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}

func (s *Service) wakePublisher() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// PublishDue makes every CRL that is due, at once, and returns how many it made.
// One that fails does not keep it from the others; the errors are joined.
func (s *Service) PublishDue(ctx context.Context) (int, error) { return s.publish(ctx, false) }

// publish makes the CRLs that are due; paced leaves out what was done, or failed,
// a moment ago, and gives each issuer one turn.
func (s *Service) publish(ctx context.Context, paced bool) (made int, err error) {
	if err := s.publishing.enter(ctx); err != nil {
		return 0, err
	}
	defer s.publishing.leave()
	if paced && s.tooEarly(looking) {
		return 0, nil
	}
	limit := math.MaxInt32
	if paced {
		limit = 4 * turn // some of them may be too early
	}
	due, err := s.cfg.Store.DueShards(ctx, s.cfg.Now(), limit)
	if err != nil {
		s.failed(looking)
		return 0, err
	}
	delete(s.pace, looking)
	var errs []error
	begun := make(map[pki.IssuerID]int)
	for _, list := range due {
		if paced && s.tooEarly(list) {
			continue
		}
		if begun[list.Issuer]++; paced && begun[list.Issuer] > turn {
			s.wakePublisher() // the rest follows, those that have been due for longest first
			continue
		}
		start := time.Now()
		n, err := s.renew(ctx, list)
		made += n
		if err != nil {
			s.failed(list)
			errs = append(errs, fmt.Errorf("CRL %s: %w", list, err))
			continue
		}
		s.pace[list] = pace{next: time.Now().Add(max(minInterval, costFactor*time.Since(start)))}
	}
	return made, errors.Join(errs...)
}

// tooEarly needs publishing, as does failed.
func (s *Service) tooEarly(key List) bool { return time.Now().Before(s.pace[key].next) }

// failed puts off the next attempt, for twice as long each time.
func (s *Service) failed(key List) {
	p := s.pace[key]
	p.next = time.Now().Add(min(time.Second<<min(p.failures, 10), maxBackoff))
	p.failures++
	s.pace[key] = p
}

// stale reports whether a CRL is to be followed by a new one, whatever is in it.
func (e *Edition) stale(now time.Time) bool {
	// One from the future was made while the clock was wrong: relying parties
	// refuse it.
	return e.Number == 0 || !now.Before(e.renewal()) || now.Before(e.ThisUpdate)
}

// renewal returns when a CRL is followed by a new one: when two fifths of its life
// are over, so that whoever looks at it after half of its life can tell that
// something is wrong.
func (e *Edition) renewal() time.Time {
	return e.ThisUpdate.Add(e.NextUpdate.Sub(e.ThisUpdate) * 2 / 5)
}

// renew makes and stores the CRLs of a shard that are due: the full one, or where
// there are deltas and the full one still holds, the delta alone. It returns how
// many it made; another process may have stored a later one meanwhile.
func (s *Service) renew(ctx context.Context, list List) (made int, err error) {
	ctx, cancel := context.WithTimeout(ctx, buildDeadline)
	defer cancel()
	id, err := s.identities.get(ctx, list.Issuer)
	if err != nil {
		return 0, err
	}
	state, err := s.cfg.Store.Shard(ctx, list.Issuer, list.Shard)
	if err != nil {
		return 0, err
	}
	now := s.cfg.Now()
	renewed := state.Renewed
	if state.stale(now) || renewed || !id.issuer.Deltas && state.Newest > state.Covers {
		stored, err := s.renewList(ctx, id, &state, nil, renewed)
		if err != nil || !stored {
			return 0, err
		}
		made++
	}
	if id.issuer.Deltas && (state.Delta.stale(now) || renewed || state.Newest > state.Delta.Covers) {
		stored, err := s.renewList(ctx, id, &state, state.base(now), renewed)
		if err != nil || !stored {
			return made, err
		}
		made++
	}
	return made, nil
}

// base returns the full CRL that a delta is to: the one before the latest while it
// is in force, so that whoever has fetched either can use it.
func (st *ShardState) base(now time.Time) *Edition {
	if st.Before.Number > 0 && now.Before(st.Before.NextUpdate) && st.Before.Covers <= st.Covers {
		return &st.Before
	}
	return &st.Edition
}

// renewList makes and stores one CRL, and brings state up to date; renewed says that it is
// one that somebody wants made anew. It is false where another process stored a later one
// meanwhile.
func (s *Service) renewList(ctx context.Context, id *identity, state *ShardState, base *Edition, renewed bool) (bool, error) {
	crl, err := s.build(ctx, id, state, base)
	if errors.Is(err, errParts) {
		crl, err = s.buildWhole(ctx, id, state)
	}
	if pki.KindOf(err) == pki.Conflict {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	made := Edition{Number: crl.Number, Covers: crl.Covers, Entries: crl.Entries, ThisUpdate: crl.ThisUpdate, NextUpdate: crl.NextUpdate}
	if base != nil {
		state.Delta = made
	} else {
		state.Before, state.Edition = state.Edition, made
	}
	crl.Due = Due{At: state.renewal(), Above: state.Covers, KeepRenewed: !renewed}
	if id.issuer.Deltas {
		crl.Due.Above = state.Delta.Covers
		if delta := state.Delta.renewal(); delta.Before(crl.Due.At) {
			crl.Due.At = delta
		}
		if state.Delta.Number == 0 { // it follows at once
			crl.Due.At = crl.ThisUpdate
		}
	}
	err = s.cfg.Store.PutCRL(ctx, crl, nil)
	if pki.KindOf(err) == pki.Conflict {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store number %d: %w", crl.Number, err)
	}
	s.stats.CRLs.Add(1)
	s.cfg.Log.DebugContext(ctx, "CRL published", "list", crl.List, "number", crl.Number, "entries", crl.Entries)
	s.published(crl.List)
	if base == nil {
		s.dropGone(ctx)
	}
	return true, nil
}
