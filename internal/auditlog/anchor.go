package auditlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// A lane hands checkpoints to one anchor, one after the other: an anchor that is slow or
// down holds up no other.
type lane struct {
	s      *Service
	anchor Anchor
	wake   chan struct{} // of one place: something waits

	mu      sync.Mutex
	pending map[pki.TenantID]*parcel // guarded by mu
}

// A parcel is the newest checkpoint of a log that an anchor is to get.
type parcel struct {
	tenant pki.TenantID
	size   int64
	note   string
	since  time.Time // when there first was one that the anchor has not taken
	tried  int64     // how often it did not take it
}

// choose chooses the checkpoints that are due at all anchors: the newest of each log that
// has grown for so long since an anchor took one, or of which none did. It is kept in
// the store before.
func (s *Service) choose(ctx context.Context, age time.Duration) error {
	h, err := s.held(ctx)
	if err != nil {
		return err
	}
	if h.Epoch == 0 { // another node hands them out
		for _, l := range s.lanes {
			l.forget(ctx)
		}
		return nil
	}
	logs, err := s.cfg.Store.Logs(ctx)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	var errs []error
	for _, l := range logs {
		if l.SignedSize <= l.AnchoredSize || l.AnchoredSize > 0 && now.Sub(l.UnanchoredSince) < age {
			continue
		}
		h.Until = s.cfg.Now().Add(lease)
		if err := s.cfg.Store.KeepCheckpoint(ctx, h, l.Tenant, Kept{Size: l.SignedSize, At: now.UTC(), Note: l.Checkpoint}); err != nil {
			errs = append(errs, s.lost(err))
			continue
		}
		for _, lane := range s.lanes {
			lane.add(l, now)
		}
	}
	return errors.Join(errs...)
}

// hand has all anchors be given what waits for them.
func (s *Service) hand(ctx context.Context) error {
	var g errgroup.Group
	errs := make([]error, len(s.lanes))
	for i, l := range s.lanes {
		g.Go(func() error {
			errs[i] = l.hand(ctx)
			return nil
		})
	}
	g.Wait()
	return errors.Join(errs...)
}

func (l *lane) add(log *Log, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	p := l.pending[log.Tenant]
	if p == nil {
		p = &parcel{tenant: log.Tenant, since: now}
		l.pending[log.Tenant] = p
	}
	p.size, p.note = log.SignedSize, log.Checkpoint
}

// forget drops what waits: another node has the lease, and hands out what it finds.
func (l *lane) forget(ctx context.Context) {
	l.mu.Lock()
	clear(l.pending)
	l.mu.Unlock()
	l.judge(ctx)
}

// hand gives the anchor what waits for it, the longest first, until it does not take one.
// That one is tried after the others the next time: it may be this one alone that is not
// taken.
func (l *lane) hand(ctx context.Context) error {
	defer l.judge(ctx)
	for _, p := range l.waiting() {
		if err := l.put(ctx, p.note); err != nil {
			l.s.stats.Anchors[l.anchor.Name()].Failures.Add(1)
			l.done(p, false)
			return fmt.Errorf("the anchor %s did not take a checkpoint of the log of tenant %q: %w", l.anchor.Name(), p.tenant, err)
		}
		l.s.stats.Anchors[l.anchor.Name()].Taken.Set(l.s.cfg.Now())
		l.done(p, true)
		h, err := l.s.held(ctx)
		if err != nil || h.Epoch == 0 {
			return err
		}
		h.Until = l.s.cfg.Now().Add(lease)
		if err := l.s.cfg.Store.Anchored(ctx, h, p.tenant, p.size, l.s.cfg.Now()); err != nil {
			return l.s.lost(err)
		}
		l.judge(ctx)
	}
	return nil
}

func (l *lane) put(ctx context.Context, note string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.anchor.Put(ctx, note)
}

// waiting returns what waits, in the order in which it is tried.
func (l *lane) waiting() []parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]parcel, 0, len(l.pending))
	for p := range maps.Values(l.pending) {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b parcel) int {
		return cmp.Or(cmp.Compare(a.tried, b.tried), a.since.Compare(b.since), cmp.Compare(a.tenant, b.tenant))
	})
	return all
}

// done notes whether a parcel was taken; a newer one may wait in its place meanwhile.
func (l *lane) done(p parcel, taken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch now := l.pending[p.tenant]; {
	case now == nil:
	case !taken:
		now.tried++
	case now.size == p.size:
		delete(l.pending, p.tenant)
	default:
		now.since, now.tried = l.s.cfg.Now(), 0
	}
}

// judge raises an alarm for an anchor that has not taken a checkpoint for longer than the
// bound, beside others that may have, and for one that has lost what it took. The latter
// stays: what is gone comes back by no later checkpoint.
func (l *lane) judge(ctx context.Context) {
	if keeper, ok := l.anchor.(Keeper); ok && keeper.Lost() {
		l.s.raise(ctx, alarm.Alarm{Key: alarm.Key{Name: "anchor.lost", Target: l.anchor.Name()}, Severity: alarm.Warning,
			What: fmt.Sprintf("the anchor %s had checkpoints of the audit log that are gone, while the server ran: what it takes now begins anew", l.anchor.Name()),
			Do:   "Find out who moved or emptied it, or whether its volume is not mounted, and keep what it had: it proves what the log was. From its next checkpoint on it protects what was before, too. The alarm goes when the server starts again."})
	}
	key := alarm.Key{Name: "anchor.late", Target: l.anchor.Name()}
	l.mu.Lock()
	var since time.Time
	for _, p := range l.pending {
		since = earliest(since, p.since)
	}
	l.mu.Unlock()
	if since.IsZero() || l.s.cfg.Now().Sub(since) <= l.s.cfg.Bound {
		l.s.cfg.Alarms.Clear(key)
		return
	}
	l.s.raise(ctx, alarm.Alarm{Key: key, Severity: alarm.Warning,
		What: fmt.Sprintf("the anchor %s has not taken what the audit log has had for it since %s", l.anchor.Name(), since.UTC().Format(time.RFC3339)),
		Do:   "See that it can be written to, and is not too slow; the server's log has the reason. Where it is gone for good, take it out of audit.anchors in pando.yaml."})
}
