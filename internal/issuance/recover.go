package issuance

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	registration = 30 * time.Second // how long a node counts as alive without a word
	stayEvery    = 8 * time.Second
	adoptEvery   = 2 * time.Second
	adoptAtOnce  = 16 // intents
)

// Run commits, keeps the node registered and takes over what dead nodes left,
// until ctx ends; then it finishes what is in flight. It returns ErrFenced where
// another process took the node's name: nothing more may be issued here.
func (s *Service) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { s.commit.run(running); return nil })
	g.Go(func() error { return s.stay(running) })
	g.Go(func() error { s.watchClock(running); return nil })
	adopted := make(chan struct{})
	go func() {
		defer close(adopted)
		s.adopt(running)
	}()
	err := g.Wait()
	select {
	case <-adopted:
	case <-time.After(time.Second): // its key does not answer: the intent stays open
	}
	return err
}

func (s *Service) stay(ctx context.Context) error {
	tick := time.NewTicker(stayEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch err := s.cfg.Store.Stay(ctx, s.cfg.Node, s.epoch, s.guard.best().Add(registration)); {
		case errors.Is(err, ErrFenced):
			s.cfg.Log.Error("another process runs under this node's name: no more certificates are issued here", "node", s.cfg.Node)
			return err
		case err != nil && ctx.Err() == nil:
			s.cfg.Log.Error("registration of the node", "error", err)
		}
	}
}

func (s *Service) adopt(ctx context.Context) {
	tick := time.NewTicker(adoptEvery)
	defer tick.Stop()
	for {
		if err := s.Recover(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("recovery of open intents", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Recover takes over the open intents of dead nodes and of this node's earlier
// lives: those of running batches are completed from their own bytes, all others
// become void. It returns when none is left. The committer must be running.
func (s *Service) Recover(ctx context.Context) error {
	s.recovering.Lock() // what another call adopted is not left, and not finished either
	defer s.recovering.Unlock()
	for {
		adopted, err := s.cfg.Store.Adopt(ctx, s.cfg.Node, s.epoch, s.guard.best(), adoptAtOnce)
		for _, n := range adopted {
			s.finish(ctx, n)
		}
		if err != nil || len(adopted) == 0 {
			return err
		}
	}
}

// finish completes an adopted intent, or makes it void.
func (s *Service) finish(ctx context.Context, n *Intent) {
	log := s.cfg.Log.With("intent", n.ID, "issuer", n.Issuer, "batch", n.Batch, "certificates", len(n.Items), "attempt", n.Attempt)
	if n.Complete {
		line, err := s.lineOf(ctx, n.Issuer)
		if err == nil {
			err = s.signAll(ctx, line, n.Items)
		}
		if err != nil {
			log.Error("an adopted intent cannot be signed and becomes void", "error", err)
		}
	}
	g := &group{intent: n, recorded: make(chan struct{})}
	s.opened(g)
	s.commit.addRecord(g)
	<-g.recorded
	if g.err != nil {
		log.Error("record of an adopted intent", "error", g.err)
		return
	}
	log.Info("adopted an open intent", "completed", n.Complete)
}

// Ready reports whether certificates can be issued: the store takes a write of
// this node, in its epoch. It writes once a second at most, however often it is
// asked.
func (s *Service) Ready(ctx context.Context) error {
	s.ready.Lock()
	defer s.ready.Unlock()
	if now := time.Now(); now.Sub(s.readyAt) >= time.Second {
		s.readyErr = s.cfg.Store.Stay(ctx, s.cfg.Node, s.epoch, s.guard.best().Add(registration))
		s.readyAt = now
	}
	return s.readyErr
}
