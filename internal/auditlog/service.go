package auditlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

const (
	every     = 500 * time.Millisecond // between two looks for leaves without a place
	groups    = 256                    // that one transaction gives places to
	lease     = 30 * time.Second
	watched   = time.Second      // between two looks at the backlog
	vouched   = time.Minute      // how long what was seen holds, see audit.Gate
	maxAge    = time.Minute      // of a leaf without a place; beyond it nothing is done
	maxLeaves = 1_000_000        // without a place; likewise
	delivery  = 5 * time.Second  // between two looks for checkpoints that anchors must get
	patience  = 20 * time.Second // with one anchor
	progress  = 10 * time.Second // between two words about leaves that get their places
)

// An Anchor is a place outside the store that keeps checkpoints.
type Anchor interface {
	// Name says which it is, for logs and alarms, without secrets.
	Name() string
	// Put hands a signed checkpoint over; nil once it is kept there.
	Put(ctx context.Context, note string) error
}

// A Keeper is an Anchor that notices where something is gone of what it took before.
type Keeper interface {
	Anchor
	// Lost reports whether that was so since it was made.
	Lost() bool
}

// A Reader is an Anchor that can be asked for what it took.
type Reader interface {
	Anchor
	// Newest returns the newest checkpoint that the anchor has of each log of a
	// deployment, of which those with the given origins are known. Where it has
	// checkpoints of another deployment, one of them is among the answer.
	Newest(ctx context.Context, deployment string, origins []string) ([]string, error)
}

// Keys makes and uses the logs' keys; signer.Signer does.
type Keys interface {
	Generate(ctx context.Context, scheme string, tenant pki.TenantID, kind pki.KeyKind, use keystore.Use) (pki.KeyURI, error)
	Public(ctx context.Context, uri pki.KeyURI) (key tbs.PublicKey, hardware bool, err error)
	Sign(ctx context.Context, uri pki.KeyURI, purpose signer.Purpose, message []byte, check bool) ([]byte, error)
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store  Store
	Keys   Keys
	Node   string
	Now    pki.Clock
	Log    *slog.Logger
	Alarms *alarm.Board
	Gate   *audit.Gate // the store's
	// Archives has the certificates that are not in the store any more; nil where
	// there are none.
	Archives Archives

	Anchors []Anchor
	Every   time.Duration // anchors get a checkpoint at least so often while the log grows
	Bound   time.Duration // without an anchor that took one, issuance stops
}

// A Service runs the logs of a deployment. Its methods are safe for concurrent use.
type Service struct {
	cfg        Config
	deployment string

	mu   sync.Mutex
	hold Hold // guarded by mu; zero Epoch where another node has it

	// tearing is no part of mu, which is held while the store writes: who watches must
	// not wait for that, or nothing is done once it took a minute.
	tearing sync.Mutex
	torn    map[pki.TenantID]tear // guarded by tearing

	sequencing sync.Mutex // by one at a time: each would make the log of a new tenant

	lanes []*lane        // one to each anchor
	own   alarm.Standing // alarms of single logs; owned by watch

	stats *Stats
}

// New returns a Service of a store that agrees with its anchors, or the error that
// says where it does not (see compare). It looks at the log once, so that the gate
// is open when it returns.
func New(ctx context.Context, cfg Config) (*Service, error) {
	deployment, err := cfg.Store.Deployment(ctx)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deployment: deployment, torn: make(map[pki.TenantID]tear), stats: newStats(cfg.Anchors)}
	for _, a := range cfg.Anchors {
		s.lanes = append(s.lanes, &lane{s: s, anchor: a, wake: make(chan struct{}, 1), pending: make(map[pki.TenantID]*parcel)})
	}
	if err := s.compare(ctx); err != nil {
		return nil, err
	}
	if err := s.sequence(ctx); err != nil {
		cfg.Log.ErrorContext(ctx, "sequencing the log", "error", err) // what it stops, the gate stops
	}
	return s, s.watch(ctx)
}

// Run sequences, hands out checkpoints and watches until ctx ends. Errors are
// logged and tried again: what they stop, the gate stops.
func (s *Service) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return s.loop(running, every, nil, "sequencing the log", s.sequence) })
	g.Go(func() error {
		return s.loop(running, delivery, nil, "choosing what anchors get", func(ctx context.Context) error { return s.choose(ctx, s.cfg.Every-delivery) })
	})
	for _, l := range s.lanes {
		g.Go(func() error { return s.loop(running, delivery, l.wake, "anchoring the log", l.hand) })
	}
	g.Go(func() error { return s.loop(running, watched, nil, "watching the log", s.watch) })
	return g.Wait()
}

// Finish gives all leaves that are stored their places and hands the last
// checkpoints to the anchors, for a shutdown in order.
func (s *Service) Finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return errors.Join(s.sequence(ctx), s.choose(ctx, 0), s.hand(ctx))
}

// loop does work at once and again after each pause, or when it is woken; wake may be
// nil. The same error is logged once a minute.
func (s *Service) loop(ctx context.Context, pause time.Duration, wake <-chan struct{}, what string, work func(context.Context) error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	said, at := "", time.Time{}
	for {
		err := work(ctx)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && (err.Error() != said || time.Since(at) > time.Minute):
			said, at = err.Error(), time.Now()
			s.cfg.Log.ErrorContext(ctx, what, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-wake:
		}
	}
}

// held returns the lease, which it takes or prolongs where that is due; a zero
// Epoch where another node has it.
func (s *Service) held(ctx context.Context) (Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	fresh := Hold{Node: s.cfg.Node, Epoch: s.hold.Epoch, Until: now.Add(lease)}
	var err error
	switch {
	case fresh.Epoch == 0:
		if fresh.Epoch, err = s.cfg.Store.TakeSequencer(ctx, fresh.Node, now, fresh.Until); errors.Is(err, ErrFenced) {
			return Hold{}, nil
		}
	case s.hold.Until.Sub(now) < lease/2 || s.hold.Until.Sub(now) > lease: // or the clock went back
		err = s.cfg.Store.KeepSequencer(ctx, fresh)
	default:
		return s.hold, nil
	}
	s.hold = fresh
	if err != nil {
		s.hold = Hold{}
	}
	return s.hold, err
}

// lost forgets the lease where an act under it was fenced, and returns err.
func (s *Service) lost(err error) error {
	if errors.Is(err, ErrFenced) {
		s.mu.Lock()
		s.hold = Hold{}
		s.mu.Unlock()
	}
	return err
}

// sequence gives every waiting leaf its place and signs what has grown.
func (s *Service) sequence(ctx context.Context) error {
	s.sequencing.Lock()
	defer s.sequencing.Unlock()
	h, err := s.held(ctx)
	if err != nil || h.Epoch == 0 {
		return err
	}
	b, err := s.cfg.Store.Backlog(ctx)
	if err != nil {
		return err
	}
	if leaves(b) == 0 {
		return s.lost(s.sign(ctx, h))
	}
	// A tenant whose log cannot be made or is damaged, or whose key does not sign,
	// does not hold up the others.
	errs := []error{s.addLogs(ctx, h)}
	begun := s.cfg.Now()
	for told := begun; ; {
		h.Until = s.cfg.Now().Add(lease)
		done, err := s.cfg.Store.Sequence(ctx, h, groups)
		if err != nil {
			errs = append(errs, err)
		}
		if done < groups {
			break
		}
		if now := s.cfg.Now(); now.Sub(told) >= progress {
			s.sayProgress(ctx, b, now.Sub(begun))
			told = now
		}
	}
	return s.lost(errors.Join(append(errs, s.sign(ctx, h))...))
}

// sayProgress says how far the leaves that waited at first have come: after a store was filled,
// or has stood still for long, a start takes minutes, and nothing listens that would tell.
func (s *Service) sayProgress(ctx context.Context, first []Backlog, spent time.Duration) {
	left, err := s.cfg.Store.Backlog(ctx)
	if err != nil {
		return // the next transaction says so
	}
	s.cfg.Log.InfoContext(ctx, "entries of the audit log get their places, for which a start waits",
		"waited", leaves(first), "left", leaves(left), "for", spent.Round(time.Second))
}

func leaves(all []Backlog) (n int64) {
	for _, b := range all {
		n += b.Leaves
	}
	return n
}

// addLogs makes the logs of tenants whose first leaves wait.
func (s *Service) addLogs(ctx context.Context, h Hold) error {
	tenants, err := s.cfg.Store.Unlogged(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, tenant := range tenants {
		if err := s.addLog(ctx, h, tenant); err != nil {
			errs = append(errs, fmt.Errorf("making the log of tenant %q: %w", tenant, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) addLog(ctx context.Context, h Hold, tenant pki.TenantID) error {
	uri, err := s.cfg.Keys.Generate(ctx, "software", tenant, pki.Ed25519, keystore.UseLog)
	if err != nil {
		return err
	}
	public, err := s.public(ctx, uri)
	if err != nil {
		return err
	}
	key, err := audit.NewKey(audit.Origin(s.deployment, tenant), public)
	if err != nil {
		return err
	}
	err = s.cfg.Store.PutLog(ctx, h, &Log{Tenant: tenant, KeyURI: uri, Key: key.String()}, pki.Event{
		Tenant: tenant, At: s.cfg.Now().UTC(), Actor: "system:log", Action: "log.create", Target: "log:" + key.Origin(), Detail: "checkpoints are signed by " + key.String(),
	})
	if err == nil {
		s.cfg.Log.InfoContext(ctx, "new log", "tenant", tenant, "key", key.String())
	}
	return err
}

// sign signs a checkpoint of each log that has grown since the last.
func (s *Service) sign(ctx context.Context, h Hold) error {
	logs, err := s.cfg.Store.Logs(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range logs {
		if l.Size == l.SignedSize {
			continue
		}
		note, err := s.checkpoint(ctx, l)
		if err == nil {
			err = s.cfg.Store.PutCheckpoint(ctx, h, l.Tenant, l.Size, note)
		}
		if err == nil {
			s.stats.Signed.Set(s.cfg.Now())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkpoint signs what a log is now.
func (s *Service) checkpoint(ctx context.Context, l *Log) (string, error) {
	key, err := audit.ParseKey(l.Key)
	if err != nil {
		return "", err
	}
	c := audit.Checkpoint{Origin: key.Origin(), Size: l.Size, Root: l.Root, Time: s.cfg.Now()}
	note, err := audit.Sign(c, noteSigner{ctx, s.cfg.Keys, l.KeyURI, key})
	if err != nil {
		return "", fmt.Errorf("signing a checkpoint of the log of tenant %q: %w", l.Tenant, err)
	}
	return note, nil
}

func (s *Service) raise(ctx context.Context, a alarm.Alarm) {
	if s.cfg.Alarms.Raise(a) {
		s.tell(ctx, a)
	}
}

func (s *Service) tell(ctx context.Context, a alarm.Alarm) {
	s.cfg.Log.ErrorContext(ctx, "alarm", "name", a.Name, "target", a.Target, "what", a.What)
}

// reader reads a log's tiles, for proofs. It checks each against the tree.
func (s *Service) reader(ctx context.Context, tenant pki.TenantID, size int64, root tlog.Hash) *mindful {
	tiles := &tileReader{ctx: ctx, store: s.cfg.Store, tenant: tenant}
	return &mindful{tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, tiles), s, tiles, tenant, size, root}
}
