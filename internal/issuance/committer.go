package issuance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

const (
	gather      = 2 * time.Millisecond  // how long to wait for company where several requests are under way
	company     = 4                     // more than so many requests are several
	maxGroups   = 8                     // chunks of batches whose intents one commit takes, and as many whose records
	together    = 4                     // so many intents and records of chunks wait for each other where there is nothing else
	longestLull = 50 * time.Millisecond // that they wait
	before      = 2                     // commits of single requests alone, where there are any, before one with a chunk of a batch
	finishing   = 20 * time.Second      // from the order to stop until what is in flight is left to the next start
)

var errStopped = errors.New("the committer has stopped")

// A single is one request on its way to an intent.
type single struct {
	ctx      context.Context
	line     *Line
	items    []*Item // one, or a pair
	group    *group
	intended chan error // receives once: nil when the item's fate is decided
}

// A group is an intent on its way through the committer.
type group struct {
	line     *Line
	intent   *Intent
	owner    pki.TenantID  // of a chunk: whose batch it is of
	waiting  atomic.Int32  // items of single requests that are not signed yet
	intended chan error    // of a chunk; receives once
	recorded chan struct{} // closed when err is set
	err      error
	trials   int
	orphan   bool // nobody waits: a void record, tried until the store takes it
}

// signed tells the group that a single request has signed its n items, and returns
// whether they were the last.
func (g *group) signed(n int) bool { return g.waiting.Add(-int32(n)) == 0 }

// live reports whether certificates of the group are to be signed and recorded.
func (g *group) live() bool { return g.intent.Err == nil && len(g.intent.Items) > 0 }

// await waits until the group is recorded, or for a last time after ctx ended, whose
// error it returns then.
func (g *group) await(ctx context.Context) error {
	select {
	case <-g.recorded:
		return nil
	case <-ctx.Done():
	}
	last := time.NewTimer(lastWait)
	defer last.Stop()
	select {
	case <-g.recorded:
		return nil
	case <-last.C:
		return ctx.Err()
	}
}

// A committer is the one place from which intents and records reach the store.
// One goroutine, run, drains what has come since the last commit and stores it
// in one transaction, so that a busy service pays one sync for many requests.
type committer struct {
	s    *Service
	wake chan struct{} // capacity 1

	failing int // commits that failed since one recorded a certificate; owned by run

	mu      sync.Mutex
	singles fairQueue[*single]
	groups  fairQueue[*group] // of batches
	records []*group          // of single requests, and what nobody waits for
	signed  []*group          // of batches
	enough  int               // how many requests wait before wake is used
	alone   int               // commits since the last one that took something of a batch
	closed  error             // set when nothing new is taken
	stopped bool              // set when run has returned
}

func newCommitter(s *Service) *committer {
	return &committer{s: s, wake: make(chan struct{}, 1)}
}

func (c *committer) addSingle(r *single) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		r.intended <- c.closed
		return
	}
	owner := r.items[0].Owner
	c.singles.push(c.s.cfg.Family.Of(owner), owner, r)
	if c.waiting() >= c.enough {
		c.awaken()
	}
}

func (c *committer) addGroup(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		g.intended <- c.closed
		return
	}
	c.groups.push(c.s.cfg.Family.Of(g.owner), g.owner, g)
	c.awaken()
}

func (c *committer) addRecord(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		c.s.through(g, errStopped)
		return
	}
	if g.intent.Batch != "" {
		c.signed = append(c.signed, g)
	} else {
		c.records = append(c.records, g)
	}
	if c.waiting() >= c.enough {
		c.awaken()
	}
}

func (c *committer) awaken() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run commits until ctx ends, then takes nothing new and goes on until what is
// in flight is recorded, or finishing is over: neither a key that never answers nor
// a store that takes nothing may hold the process. What is left open then is adopted
// at the next start.
func (c *committer) run(ctx context.Context) {
	var deadline time.Time
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			c.close()
			if deadline.IsZero() {
				deadline = time.Now().Add(finishing)
			}
			if c.stop(time.Now().After(deadline)) {
				return
			}
			time.Sleep(gather)
		}
		for c.some() {
			c.gather(ctx)
			c.once(context.WithoutCancel(ctx))
			if ctx.Err() != nil {
				break // whether it is over is asked after each commit
			}
		}
	}
}

// some reports whether anything waits.
func (c *committer) some() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.singles.len()+len(c.records) > 0 || c.batches()
}

// batches reports whether anything of a batch waits. It needs mu.
func (c *committer) batches() bool { return c.groups.len()+len(c.signed) > 0 }

// waiting returns how many single requests wait for a commit. It needs mu.
func (c *committer) waiting() int {
	n := c.singles.len()
	for _, g := range c.records {
		n += len(g.intent.Items)
	}
	return n
}

// gather waits, where several requests are under way, until all of them wait here,
// though not for long: a commit costs much the same however many share it, and a
// core that does not commit works for those that are still to come. It waits for a
// few, too, where otherwise a batch would come between their intent and their record.
func (c *committer) gather(ctx context.Context) {
	open := c.s.openRequests() + int(c.s.coming.Load())
	if !c.s.cores.Shared() {
		c.gatherChunks(ctx)
		return
	}
	if open <= company && !c.holdsBatch() || !c.expect(open) {
		return
	}
	late := time.NewTimer(gather)
	defer late.Stop()
	select {
	case <-c.wake:
	case <-late.C:
	case <-ctx.Done():
	}
	c.expect(0)
}

// gatherChunks waits for more of batches, as long as some of it is being worked on: a
// commit writes the ends of all tables and indexes, and waits for the disk, however
// much it takes. A single request that comes ends the wait.
func (c *committer) gatherChunks(ctx context.Context) {
	late := time.NewTimer(longestLull)
	defer late.Stop()
	for c.fewChunks() && c.s.cores.Busy() {
		select {
		case <-c.wake:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// fewChunks reports whether nothing but chunks of batches waits, and not many.
func (c *committer) fewChunks() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting() == 0 && c.groups.len()+len(c.signed) < together
}

// holdsBatch reports whether something of a batch waits whose turn has not come.
func (c *committer) holdsBatch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.batches() && c.alone < before
}

// expect says how many are to wait before wake is used, and returns whether that
// is more than do.
func (c *committer) expect(enough int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.wake: // of those that wait already
	default:
	}
	if c.waiting() >= enough {
		enough = 0
	}
	c.enough = enough
	return enough > 0
}

// close refuses all that waits for an intent and all that comes later.
func (c *committer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == nil {
		c.closed = &pki.Error{Kind: pki.Unavailable, Detail: "the server is shutting down; send the request again", RetryAfter: 5 * time.Second}
	}
	c.turnAway(c.closed)
}

// turnAway refuses all that waits for an intent. It needs mu.
func (c *committer) turnAway(why error) {
	for c.singles.len() > 0 {
		c.singles.pop().intended <- why
	}
	for c.groups.len() > 0 {
		c.groups.pop().intended <- why
	}
}

// compareClocks refuses all that waits for an intent while this node's clock is
// wrong. What was signed is recorded all the same. A store that does not answer
// shows at the commit.
func (c *committer) compareClocks(ctx context.Context) {
	if stored, err := c.s.cfg.Store.Clock(ctx); err == nil {
		c.s.guard.learn(stored)
	}
	if err := c.s.checkClock(); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.turnAway(err)
	}
}

// stop reports whether nothing is in flight, or all is given up; then nothing is
// taken any more, and who waits for a record is told.
func (c *committer) stop(giveUp bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.s.openIntents()
	waiting := slices.Concat(c.records, c.signed)
	c.stopped = left+len(waiting) == 0 || giveUp
	if !c.stopped {
		return false
	}
	if left > 0 {
		c.s.cfg.Log.Error("stopped with intents that are not recorded", "intents", left)
	}
	for _, g := range waiting {
		c.s.through(g, errStopped)
	}
	c.records, c.signed = nil, nil
	return true
}

// once commits what waits now.
func (c *committer) once(ctx context.Context) {
	c.compareClocks(ctx)
	records, fresh, singles := c.take()
	if len(records)+len(fresh) == 0 {
		return
	}
	begun := time.Now()
	err := c.store(ctx, records, fresh)
	if err != nil {
		c.s.cfg.Log.Error("commit of certificates", "error", err, "records", len(records), "intents", len(fresh))
		c.failed(records, fresh, singles, err)
		return
	}
	c.s.stats.Commits.Observe(time.Since(begun).Seconds())
	for _, g := range records {
		if g.intent.Err == nil {
			c.s.stats.recorded(g.intent)
		}
		c.s.through(g, g.intent.Err)
	}
	c.started(fresh, singles)
	c.went(records, fresh)
}

// store stores the records and the new intents in one transaction.
func (c *committer) store(ctx context.Context, records, fresh []*group) error {
	if ofBatch(records) || ofBatch(fresh) {
		defer c.s.cores.Commit()()
	}
	return c.s.cfg.Store.Commit(ctx, c.s.guard.best(), intents(records), intents(fresh))
}

// take forms the next commit: the records of single requests, single requests up to
// MaxGroup by issuer, and what batches have. While single requests are under way, or
// expected, that is one chunk at most, and only in its turn: a single request, which needs two
// commits, waits for a part of a batch once at most, and a batch goes on however many
// single requests there are.
func (c *committer) take() (records, fresh []*group, singles []*single) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing > 0 {
		return c.probe()
	}
	signed, groups := min(len(c.signed), maxGroups), min(c.groups.len(), maxGroups)
	if c.s.openRequests() > 0 || c.s.cores.Shared() {
		if c.singles.len()+len(c.records) > 0 && c.alone < before {
			signed, groups = 0, 0
		}
		signed = min(signed, 1)
		groups = min(groups, 1-signed)
	}
	c.alone++
	if signed+groups > 0 {
		c.alone = 0
	}
	records = c.takeRecords(signed)
	fresh, singles = c.takeSingles(MaxGroup - 1)
	for range groups {
		fresh = append(fresh, c.groups.pop())
	}
	for _, g := range fresh {
		c.s.opened(g)
	}
	return records, fresh, singles
}

// takeRecords takes the records of single requests and so many of batches. It needs mu.
func (c *committer) takeRecords(signed int) (records []*group) {
	records, c.records = c.records, nil
	records = append(records, c.signed[:signed]...)
	c.signed = slices.Delete(c.signed, 0, signed)
	return records
}

// takeSingles takes single requests, by issuer, until they are for so many certificates.
// It needs mu.
func (c *committer) takeSingles(certificates int) (fresh []*group, singles []*single) {
	byIssuer := make(map[pki.IssuerID]*group)
	for n := 0; n < certificates && c.singles.len() > 0; {
		r := c.singles.pop()
		if err := r.ctx.Err(); err != nil {
			r.intended <- pki.Because(pki.Unavailable, err, "the request was given up before its turn came")
			continue
		}
		g := byIssuer[r.line.Issuer.ID]
		if g == nil {
			g = &group{line: r.line, intent: c.s.newIntent(r.line), recorded: make(chan struct{})}
			byIssuer[r.line.Issuer.ID] = g
			fresh = append(fresh, g)
		}
		r.group = g
		g.intent.Items = append(g.intent.Items, r.items...)
		n += len(r.items)
		singles = append(singles, r)
	}
	return fresh, singles
}

// started lets those whose intent is committed go on to sign.
func (c *committer) started(fresh []*group, singles []*single) {
	for _, g := range fresh {
		if g.intent.Err == nil {
			c.s.stats.intended(g.intent)
		}
		live := g.intent.Items[:0:0]
		for _, item := range g.intent.Items {
			if item.Refused == nil && item.Earlier == nil {
				live = append(live, item)
			}
		}
		g.intent.Items = live
		g.waiting.Store(int32(len(live)))
		if !g.live() {
			c.s.through(g, g.intent.Err)
		}
		if g.intended != nil {
			g.intended <- nil
		}
	}
	for _, r := range singles {
		r.intended <- r.group.intent.Err
	}
}

// ofBatch reports whether one of the groups is a chunk of a batch.
func ofBatch(groups []*group) bool {
	return slices.ContainsFunc(groups, func(g *group) bool { return g.intent.Batch != "" })
}

func intents(groups []*group) []*Intent {
	out := make([]*Intent, len(groups))
	for i, g := range groups {
		out[i] = g.intent
	}
	return out
}

// opened notes an intent of this process.
func (s *Service) opened(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[g.intent.ID] = g.recorded
}

// through ends a group: err is nil, ErrFenced or why it could not be stored.
func (s *Service) through(g *group, err error) {
	s.mu.Lock()
	delete(s.open, g.intent.ID)
	s.mu.Unlock()
	g.err = err
	close(g.recorded)
}

func (s *Service) openIntents() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}
