package revocation

import (
	"context"
	"errors"
	"fmt"
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
)

// A pace is when RunCRL may try something again, on this process's monotonic
// clock.
type pace struct {
	next     time.Time
	failures int
}

// Keys of pace beside those of shards: the list of issuers, and all of one issuer.
const (
	allIssuers = pki.IssuerID("")
	allShards  = -1
)

// RunCRL keeps the CRLs of every online issuer fresh until ctx ends: it makes
// one where there is none, where entries are not in it yet, and where half of
// its life is over. Errors are logged and tried again; they do not end it. One
// process of a deployment is enough; several only do the work more than once.
func (s *Service) RunCRL(ctx context.Context) error {
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
// a moment ago.
func (s *Service) publish(ctx context.Context, paced bool) (int, error) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	list := shardKey{allIssuers, allShards}
	if paced && s.tooEarly(list) {
		return 0, nil
	}
	issuers, err := s.cfg.Issuers.AllIssuers(ctx)
	if err != nil {
		s.failed(list)
		return 0, fmt.Errorf("issuers: %w", err)
	}
	delete(s.pace, list)
	made := 0
	var errs []error
	for _, issuer := range issuers {
		if issuer.Key == pki.OfflineKey || s.cfg.Now().After(issuer.NotAfter) {
			continue
		}
		n, err := s.publishIssuer(ctx, issuer, paced)
		made += n
		if err != nil {
			errs = append(errs, fmt.Errorf("issuer %s: %w", issuer.ID, err))
		}
	}
	return made, errors.Join(errs...)
}

func (s *Service) publishIssuer(ctx context.Context, issuer *pki.Issuer, paced bool) (made int, err error) {
	whole := shardKey{issuer.ID, allShards}
	if paced && s.tooEarly(whole) {
		return 0, nil
	}
	id, err := s.identities.of(issuer)
	if err != nil {
		s.failed(whole)
		return 0, err
	}
	shards, err := s.cfg.Store.Shards(ctx, issuer.ID)
	if err != nil {
		s.failed(whole)
		return 0, fmt.Errorf("shards: %w", err)
	}
	delete(s.pace, whole)
	var errs []error
	begun := 0
	first := s.resume[issuer.ID]
	delete(s.resume, issuer.ID)
	for i := range shards {
		state := shards[(first+i)%len(shards)]
		key := shardKey{issuer.ID, state.Shard}
		if !due(state, s.cfg.Now()) || paced && s.tooEarly(key) {
			continue
		}
		if begun++; paced && begun > turn {
			// The rest follows, before shards of this turn that are due again.
			s.resume[issuer.ID] = state.Shard
			s.wakePublisher()
			break
		}
		start := time.Now()
		published, err := s.publishShard(ctx, id, state)
		if err != nil {
			s.failed(key)
			errs = append(errs, fmt.Errorf("CRL of shard %d: %w", state.Shard, err))
			continue
		}
		s.pace[key] = pace{next: time.Now().Add(max(minInterval, costFactor*time.Since(start)))}
		if published {
			made++
		}
	}
	return made, errors.Join(errs...)
}

// tooEarly needs publishing, as does failed.
func (s *Service) tooEarly(key shardKey) bool { return time.Now().Before(s.pace[key].next) }

// failed puts off the next attempt, for twice as long each time.
func (s *Service) failed(key shardKey) {
	p := s.pace[key]
	p.next = time.Now().Add(min(time.Second<<min(p.failures, 10), maxBackoff))
	p.failures++
	s.pace[key] = p
}

// due reports whether a shard needs a new CRL.
func due(state ShardState, now time.Time) bool {
	half := state.ThisUpdate.Add(state.NextUpdate.Sub(state.ThisUpdate) / 2)
	// One from the future was made while the clock was wrong: relying parties
	// refuse it.
	return state.Number == 0 || state.Newest > state.Covers || !now.Before(half) || now.Before(state.ThisUpdate)
}

// publishShard makes and stores one CRL. It is false where another process
// stored a later one meanwhile.
func (s *Service) publishShard(ctx context.Context, id *identity, state ShardState) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, buildDeadline)
	defer cancel()
	crl, err := s.build(ctx, id, state)
	if err != nil {
		return false, err
	}
	err = s.cfg.Store.PutCRL(ctx, crl, nil)
	if pki.KindOf(err) == pki.Conflict {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store number %d: %w", crl.Number, err)
	}
	s.stats.CRLs.Add(1)
	s.cfg.Log.DebugContext(ctx, "CRL published", "issuer", crl.Issuer, "shard", crl.Shard,
		"number", crl.Number, "entries", crl.Entries, "bytes", len(crl.DER))
	return true, nil
}
