package issuance

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/parallel"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// MaxGroup is the largest number of certificates in one intent.
const MaxGroup = 1000

// MaxOpen is how many single requests may be under way at once, MaxFamily how many of
// them of one family of tenants, and MaxChild of one child in it; one more is
// Unavailable.
const (
	MaxOpen   = 4096
	MaxFamily = MaxOpen / 2
	MaxChild  = MaxFamily / 4
)

// A Signer signs whole structures with CA keys.
type Signer interface {
	// Sign signs message; check says whether the signature is verified before it
	// is returned, which it always is for a hardware key.
	Sign(ctx context.Context, key pki.KeyURI, purpose signer.Purpose, message []byte, check bool) ([]byte, error)
	Public(ctx context.Context, key pki.KeyURI) (tbs.PublicKey, bool, error)
}

// Issuers finds an issuer by its id, for the completion of adopted intents.
type Issuers interface {
	Issuer(ctx context.Context, id pki.IssuerID) (*pki.Issuer, error)
}

// Config is what a Service is made of; every field but Family and Elapsed
// is needed.
type Config struct {
	Store   Store
	Signer  Signer
	Issuers Issuers
	Node    string // names this process among those that share the store
	Now     pki.Clock
	Alarms  *alarm.Board
	Log     *slog.Logger
	Family  pki.FamilyOf

	// Elapsed is a clock that nobody sets, as a machine has since it was started.
	// Nil: a jump of Now is seen only where it is behind the newest commit.
	Elapsed func() time.Duration
}

// A Service issues certificates. Its methods are safe for concurrent use.
type Service struct {
	cfg    Config
	epoch  int64
	guard  *guard
	commit *committer
	stats  *Stats
	coming atomic.Int32 // single requests that are being decided on
	cores  parallel.Cores

	mu   sync.Mutex
	open map[pki.IntentID]chan struct{} // of this process; closed when the intent is recorded
	live map[pki.TenantID]int           // single requests under way, by family, and by owner where that is a child
	busy int                            // and of all owners

	recovering sync.Mutex // held for one call of Recover

	ready    sync.Mutex
	readyAt  time.Time // of the last look; guarded by ready, as is what it found
	readyErr error
}

// New registers the node, which fences every earlier process of the same name,
// and returns a Service. Run must be running for anything to be issued.
func New(ctx context.Context, cfg Config) (*Service, error) {
	stored, err := cfg.Store.Clock(ctx)
	if err != nil {
		return nil, err
	}
	guard := newGuard(cfg.Now, cfg.Elapsed, stored)
	epoch, err := cfg.Store.Enter(ctx, cfg.Node, guard.best().Add(registration))
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, epoch: epoch, guard: guard, stats: newStats(), open: make(map[pki.IntentID]chan struct{}), live: make(map[pki.TenantID]int)}
	s.commit = newCommitter(s)
	return s, nil
}

// Coming says that a single request is being decided on, which is worth a moment of
// those that wait for a commit; over is called when that is over.
func (s *Service) Coming() (over func()) {
	s.coming.Add(1)
	single := s.cores.Single()
	return func() {
		s.coming.Add(-1)
		single()
	}
}

// Each does the work of a batch on the cores that single requests leave to it; see
// parallel.Cores.
func (s *Service) Each(n int, f func(i int) error) error { return s.cores.Each(n, f) }

// Do does a piece of work on the cores that single requests leave to it, before what
// batches have while urgent says so; see parallel.Cores.
func (s *Service) Do(urgent func() bool, f func() error) error { return s.cores.Do(urgent, f) }

// Issue makes one certificate, or returns the one that an earlier request with
// the same idempotency key led to (repeated is true then). Once the intent is
// committed the end of ctx is ignored: the certificate is made and kept, and a
// repeated request finds it.
func (s *Service) Issue(ctx context.Context, o *Order) (c *pki.Certificate, repeated bool, err error) {
	all, repeated, err := s.issue(ctx, o)
	if err != nil {
		return nil, repeated, err
	}
	return all[0], repeated, nil
}

// IssuePair is Issue for two orders of one line: both certificates are made or
// neither, also where the process ends in between. Each has an idempotency key of
// its own, or neither has one.
func (s *Service) IssuePair(ctx context.Context, orders [2]*Order) (pair [2]*pki.Certificate, repeated bool, err error) {
	all, repeated, err := s.issue(ctx, orders[0], orders[1])
	copy(pair[:], all)
	return pair, repeated, err
}

// issue makes the certificates of one order or two.
func (s *Service) issue(ctx context.Context, orders ...*Order) (all []*pki.Certificate, repeated bool, err error) {
	owner := orders[0].Owner
	leave, ok := s.enter(owner)
	if !ok {
		return nil, false, &pki.Error{Kind: pki.Unavailable, Detail: "too many requests are under way", RetryAfter: time.Second}
	}
	defer leave()
	defer s.cores.Single()()
	for {
		now, err := s.guard.time()
		if err != nil {
			return nil, false, err
		}
		items := make([]*Item, len(orders))
		for i, o := range orders {
			if items[i], err = Prepare(o, now); err != nil {
				return nil, false, err
			}
		}
		if len(items) == 2 {
			items[0].With, items[1].With = items[1], items[0]
		}
		all, earlier, err := s.together(ctx, orders[0].Line, items)
		if earlier == nil {
			return all, false, err
		}
		all, err = s.await(ctx, owner, earlier)
		if all != nil || err != nil {
			return all, true, err
		}
		// The earlier request came to nothing and gave up its claim.
	}
}

// together takes the prepared items of one request through intent, signature and
// record.
func (s *Service) together(ctx context.Context, line *Line, items []*Item) ([]*pki.Certificate, []*Earlier, error) {
	r := &single{ctx: ctx, line: line, items: items, intended: make(chan error, 1)}
	s.commit.addSingle(r)
	if err := <-r.intended; err != nil {
		return nil, nil, err
	}
	var earlier []*Earlier
	for _, item := range items {
		switch {
		case item.Refused != nil:
			return nil, nil, item.Refused
		case item.Earlier != nil:
			earlier = append(earlier, item.Earlier)
		}
	}
	if earlier != nil {
		return nil, earlier, nil
	}
	signErr := s.signRequest(context.WithoutCancel(ctx), line, items)
	if r.group.signed(len(items)) {
		s.commit.addRecord(r.group)
	}
	<-r.group.recorded
	if signErr != nil {
		return nil, nil, pki.Because(pki.Unavailable, signErr, "the authority's key cannot sign at present")
	}
	all := make([]*pki.Certificate, len(items))
	for i, item := range items {
		var err error
		if all[i], err = s.released(ctx, r.group, item); err != nil {
			return nil, nil, err
		}
	}
	return all, nil, nil
}

// released returns the certificate that the store has for an item whose group
// is through: ours, or, where we were fenced, whatever the other node made.
func (s *Service) released(ctx context.Context, g *group, item *Item) (*pki.Certificate, error) {
	switch {
	case g.err == nil:
		return certificate(g.intent, item, s.guard.best()), nil
	case g.err == ErrFenced:
		c, err := s.cfg.Store.Certificate(ctx, item.Owner, g.intent.Issuer, item.Serial)
		if pki.KindOf(err) == pki.NotFound {
			return nil, pki.Because(pki.Unavailable, g.err, "another node took this request over; send it again")
		}
		return c, err
	default:
		return nil, pki.Because(pki.Unavailable, g.err, "the certificate could not be stored; send the request again with the same idempotency key")
	}
}

// await returns what an earlier request led to: its certificates, or nil where it
// came to nothing.
func (s *Service) await(ctx context.Context, owner pki.TenantID, earlier []*Earlier) ([]*pki.Certificate, error) {
	all := make([]*pki.Certificate, len(earlier))
	for i, e := range earlier {
		var err error
		if all[i], err = s.Await(ctx, owner, e); all[i] == nil || err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Await returns the certificate that an earlier request of an owner's led to, or nil where
// it came to nothing. It waits for one that is under way, here or in recovery.
func (s *Service) Await(ctx context.Context, owner pki.TenantID, e *Earlier) (*pki.Certificate, error) {
	pause := 5 * time.Millisecond
	for {
		s.mu.Lock()
		done := s.open[e.Intent]
		s.mu.Unlock()
		if done == nil {
			open, err := s.cfg.Store.Open(ctx, e.Intent)
			if err != nil {
				return nil, err
			}
			if !open {
				c, err := s.cfg.Store.Certificate(ctx, owner, e.Issuer, e.Serial)
				if pki.KindOf(err) == pki.NotFound {
					return nil, nil
				}
				return c, err
			}
			pause = min(2*pause, 250*time.Millisecond)
		}
		timer := time.NewTimer(pause)
		select {
		case <-done: // never, where done is nil
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, pki.Because(pki.NotReady, ctx.Err(), "an earlier request with this idempotency key is still under way; send it again")
		}
		timer.Stop()
	}
}

// IssueChunk makes the certificates of one chunk of a batch and stores its
// refusals with them. It returns when all is recorded: nil, Conflict where the
// chunk is not there to claim (the batch was paused or cancelled, or another
// node has it), or Unavailable, where the chunk can be tried again. When ctx ends it waits
// for a store that works: what that does not take goes on being recorded until Run ends.
func (s *Service) IssueChunk(ctx context.Context, line *Line, batch pki.BatchID, chunk int, items []*Item, refusals []Refusal) error {
	g := &group{line: line, intent: s.newIntent(line), intended: make(chan error, 1), recorded: make(chan struct{})}
	g.intent.Batch, g.intent.Chunk, g.intent.Items, g.intent.Refusals = batch, chunk, items, refusals
	if g.owner = line.Issuer.Tenant; len(items) > 0 {
		g.owner = items[0].Owner
	}
	s.commit.addGroup(g)
	if err := <-g.intended; err != nil {
		return err
	}
	if g.intent.Err != nil {
		return g.intent.Err
	}
	if len(g.intent.Items) == 0 {
		return nil // all rows were refused; the chunk is closed
	}
	signErr := s.signAll(context.WithoutCancel(ctx), line, g.intent.Items)
	s.commit.addRecord(g)
	if err := g.await(ctx); err != nil {
		return pki.Because(pki.Unavailable, err, "the store took no certificates until the server stopped")
	}
	switch {
	case signErr != nil:
		return pki.Because(pki.Unavailable, signErr, "the authority's key cannot sign at present")
	case g.err == ErrFenced:
		return pki.Because(pki.Conflict, g.err, "another node took the chunk over")
	case g.err != nil:
		return pki.Because(pki.Unavailable, g.err, "the certificates could not be stored")
	}
	return nil
}

func (s *Service) newIntent(line *Line) *Intent {
	return &Intent{
		ID: pki.IntentID(pki.NewID(s.guard.best())), Issuer: line.Issuer.ID, Tenant: line.Issuer.Tenant,
		Node: s.cfg.Node, Epoch: s.epoch, Attempt: 1,
	}
}

func (s *Service) enter(owner pki.TenantID) (leave func(), ok bool) {
	family := s.cfg.Family.Of(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy >= MaxOpen || s.live[family] >= MaxFamily || owner != family && s.live[owner] >= MaxChild {
		return nil, false
	}
	s.busy++
	s.live[family]++
	if owner != family {
		s.live[owner]++
	}
	return func() { s.leave(family, owner) }, true
}

func (s *Service) leave(family, owner pki.TenantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.live[family]--
	if owner != family {
		s.live[owner]--
	}
	for _, t := range []pki.TenantID{owner, family} {
		if s.live[t] == 0 {
			delete(s.live, t)
		}
	}
}

func (s *Service) openRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}

func certificate(n *Intent, item *Item, now time.Time) *pki.Certificate {
	place := 0
	for i := range n.Items {
		if n.Items[i] == item {
			place = i
		}
	}
	return &pki.Certificate{
		Issuer: n.Issuer, Serial: item.Serial, Tenant: n.Tenant, Owner: item.Owner, Device: item.Device,
		Profile: item.Profile, Intent: n.ID, Place: place, Batch: n.Batch, Row: item.Row,
		NotBefore: item.NotBefore, NotAfter: item.NotAfter, Issued: now, DER: item.DER,
	}
}
