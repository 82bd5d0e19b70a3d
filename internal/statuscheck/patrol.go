package statuscheck

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// A patrol looks at the status of one tenant. What it remembers is owned by the
// goroutine that walks, one in each round.
type patrol struct {
	*Checker
	tenant   pki.TenantID
	issuers  []*pki.Issuer // those that it looks at
	last     time.Time     // when it walked, by the process's own clock
	turn     turn
	seen     map[place]sight
	objects  map[place]objectSight // by the list's pointer
	sweeps   map[place]*sweep      // of a shard's full CRL, and the delta to it
	renewals map[turn]time.Time    // of shards, by the process's own clock
	down     map[host]*outage
	round    *round
	raised   map[alarm.Key]pki.IssuerID // what it has on the board

	finals     map[turn]*finals // by shard
	back       turn             // where the next round looks back
	share      int              // how many serials may be remembered
	remembered int              // how many are, in finals
	halvings   int              // of what is remembered: one of two to this power is
}

// A turn is a shard: where the next round goes on, or one that was made anew.
type turn struct {
	issuer pki.IssuerID
	shard  int
}

// A host is what is reachable or not as a whole: the CRLs or the OCSP at an issuer's
// status URL, or a target, with no issuer.
type host struct {
	issuer pki.IssuerID
	where  string
}

// An outage is how often a host could not be reached in a row, when that was last so, and
// for how many rounds it is left alone.
type outage struct {
	failures, rounds int
	last             time.Time // by the process's own clock
}

// maxSkip is the largest number of rounds for which a host is left alone.
const maxSkip = 15

func newPatrol(c *Checker, tenant pki.TenantID) *patrol {
	return &patrol{Checker: c, tenant: tenant, seen: make(map[place]sight), objects: make(map[place]objectSight), sweeps: make(map[place]*sweep), renewals: make(map[turn]time.Time), down: make(map[host]*outage), raised: make(map[alarm.Key]pki.IssuerID), finals: make(map[turn]*finals)}
}

// follow has the patrol look at these issuers from now on. Those that are none of them any
// more have ended, and nobody goes by their status: what is remembered of them is forgotten,
// and their alarms are over.
func (c *patrol) follow(issuers []*pki.Issuer) {
	live := make(map[pki.IssuerID]bool)
	for _, i := range issuers {
		live[i.ID] = true
	}
	ended := slices.ContainsFunc(c.issuers, func(i *pki.Issuer) bool { return !live[i.ID] })
	if c.issuers = issuers; !ended {
		return
	}
	maps.DeleteFunc(c.seen, func(p place, _ sight) bool { return !live[p.list.Issuer] })
	maps.DeleteFunc(c.objects, func(p place, _ objectSight) bool { return !live[p.list.Issuer] })
	maps.DeleteFunc(c.sweeps, func(p place, _ *sweep) bool { return !live[p.list.Issuer] })
	maps.DeleteFunc(c.down, func(h host, _ *outage) bool { return h.issuer != "" && !live[h.issuer] })
	maps.DeleteFunc(c.finals, func(t turn, f *finals) bool {
		if !live[t.issuer] {
			c.remembered -= len(f.serials)
		}
		return !live[t.issuer]
	})
	for key, issuer := range c.raised {
		if !live[issuer] {
			c.clear(key)
		}
	}
}

// raise puts an alarm about an issuer on the board, and reports whether it is new.
func (c *patrol) raise(issuer *pki.Issuer, a alarm.Alarm) bool {
	c.raised[a.Key] = issuer.ID
	return c.cfg.Alarms.Raise(a)
}

// clear takes an alarm off the board.
func (c *patrol) clear(key alarm.Key) {
	delete(c.raised, key)
	c.cfg.Alarms.Clear(key)
}

// troubled is 1 where a host of the tenant's own could not be reached, else 0.
func (c *patrol) troubled() int {
	for h := range c.down {
		if h.issuer != "" {
			return 1
		}
	}
	return 0
}

// over reports whether the tenant's time in this round is.
func (c *patrol) over() bool { return time.Since(c.last) > tenantTime }

// walk looks back at what CRLs revoked for good, at the OCSP of each of the tenant's issuers,
// at some shards and at the certificates of their issuers, as far as its time allows.
func (c *patrol) walk(ctx context.Context, shards int) {
	c.last, c.round = time.Now(), newRound()
	defer func() {
		if ctx.Err() == nil {
			c.settle()
		}
	}()
	for h, o := range c.down {
		o.rounds--
		if h.issuer == "" && c.cfg.Publisher.Reached(h.where).After(o.last) {
			o.rounds = 0 // else whoever put an older CRL there meanwhile would not be seen
		}
	}
	c.lookBack(ctx, shards)
	for _, i := range c.issuers {
		if i.Key == pki.OfflineKey || ctx.Err() != nil || c.over() || c.skips(i.ID, atOCSP) {
			continue
		}
		if err := c.checkOCSP(ctx, i); err != nil && ctx.Err() == nil {
			c.cfg.Log.WarnContext(ctx, "check OCSP", "issuer", i.ID, "error", err)
		}
	}
	chains := make(map[pki.IssuerID]bool)
	for _, next := range c.next(c.turn, shards) {
		if ctx.Err() != nil || c.over() {
			return
		}
		if !chains[next.issuer.ID] {
			chains[next.issuer.ID] = true
			if err := c.checkChain(ctx, next.issuer); err != nil && ctx.Err() == nil {
				c.cfg.Log.WarnContext(ctx, "check CA certificates", "issuer", next.issuer.ID, "error", err)
			}
		}
		if err := c.checkShard(ctx, next.issuer, next.shard); err != nil && ctx.Err() == nil {
			c.cfg.Log.WarnContext(ctx, "check CRL", "issuer", next.issuer.ID, "shard", next.shard, "error", err)
		}
		c.turn = turn{next.issuer.ID, next.shard + 1}
	}
}

// A step is one shard to look at.
type step struct {
	issuer *pki.Issuer
	shard  int
}

// next returns the shards of this round, from where the last one ended.
func (c *patrol) next(from turn, most int) (steps []step) {
	n, shard, total := 0, 0, 0
	for at, i := range c.issuers {
		if i.ID == from.issuer {
			n, shard = at, from.shard
		}
		total += i.Shards
	}
	for len(steps) < min(most, total) {
		if shard >= c.issuers[n].Shards {
			n, shard = (n+1)%len(c.issuers), 0
		}
		steps = append(steps, step{c.issuers[n], shard})
		shard++
	}
	return steps
}

func hostOf(issuer pki.IssuerID, where string) host {
	if where != atURL && where != atOCSP {
		issuer = ""
	}
	return host{issuer, where}
}

// skips reports whether a host is left alone in this round.
func (c *patrol) skips(issuer pki.IssuerID, where string) bool {
	h := hostOf(issuer, where)
	o := c.down[h]
	return o != nil && o.rounds > 0 || c.round.spent[h] >= patience
}

// fell notes that a host could not be reached: it is left alone for the more rounds the
// more often that was so.
func (c *patrol) fell(h host) {
	if c.down[h] == nil {
		c.down[h] = new(outage)
	}
	o := c.down[h]
	o.last, o.rounds = time.Now(), min(1<<o.failures, maxSkip+1)
	o.failures = min(o.failures+1, 10)
}

// repair has a list be published again where it is published, each time, so that
// somebody who overwrites it again and again hides little; and made anew, but not again
// and again.
func (c *patrol) repair(ctx context.Context, issuer *pki.Issuer, list revocation.List, where string) {
	if where != atURL {
		c.cfg.Publisher.Again(where, list)
	}
	if issuer.Key == pki.OfflineKey || !c.mayRenew(turn{list.Issuer, list.Shard}) {
		return
	}
	g, err := access.System(issuer.Tenant, "status checker").Authorize(access.ManageAuthorities, issuer.Tenant)
	if err == nil {
		err = c.cfg.Authority.Renew(ctx, g, list.Issuer, list.Shard)
	}
	if err != nil {
		c.cfg.Log.ErrorContext(ctx, "have a CRL made anew", "list", list, "error", err)
	}
}

// mayRenew reports whether the last time that a shard was made anew is long enough ago,
// and notes this one. What is long past is forgotten.
func (c *patrol) mayRenew(shard turn) bool {
	maps.DeleteFunc(c.renewals, func(_ turn, last time.Time) bool { return time.Since(last) >= renewEvery })
	if _, ok := c.renewals[shard]; ok {
		return false
	}
	c.renewals[shard] = time.Now()
	return true
}
