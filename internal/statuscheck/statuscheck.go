// Package statuscheck looks at published status as relying parties do, and compares
// it with the store. It is not the publisher, and takes nothing from its memory: it
// fetches CRLs from the URLs that certificates name and from the targets that they
// are published to, asks OCSP about certificates whose status it knows, raises alarms
// for what is stale, shrunken, incomplete or wrong, and has it made and published
// anew.
package statuscheck

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// Store is what the checker compares with.
type Store interface {
	// AllIssuers returns every issuer that has a certificate.
	AllIssuers(ctx context.Context) ([]*pki.Issuer, error)
	// Shard, Revoked and Status are revocation.Store's.
	Shard(ctx context.Context, issuer pki.IssuerID, shard int) (revocation.ShardState, error)
	Revoked(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, span revocation.Span, limit int) ([]pki.Revocation, error)
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error)
	// SampleSerial returns the serial of some certificate of the issuer, at or
	// soon after the given one; NotFound where it finds none.
	SampleSerial(ctx context.Context, issuer pki.IssuerID, from pki.Serial) (pki.Serial, error)
}

// Authority checks and renews CRLs; revocation.Service does.
type Authority interface {
	// Verify checks that a CRL is one of the list.
	Verify(ctx context.Context, list revocation.List, crl []byte) (*tbs.ParsedCRL, error)
	// Renew has the CRLs of a shard be made anew.
	Renew(ctx context.Context, g access.Grant, issuer pki.IssuerID, shard int) error
}

// Publisher publishes a list to a target again; publish.Publisher does.
type Publisher interface {
	Again(target string, list revocation.List)
}

// Target is a place that CRLs are published to.
type Target interface {
	Read(ctx context.Context, name string, limit int64) (content []byte, version string, err error)
}

// Config is what a Checker is made of.
type Config struct {
	Store     Store
	Authority Authority
	Publisher Publisher
	Targets   map[string]Target
	Alarms    *alarm.Board
	Now       pki.Clock
	Log       *slog.Logger

	// Every is the time between two rounds. Zero is a minute.
	Every time.Duration
}

const (
	// perRound bounds the shards that one round looks at; the next goes on from
	// there, so that an issuer with many is gone round slowly.
	perRound = 100
	// behind is how old a revocation is that must be in the CRL and in OCSP.
	behind = 2 * time.Minute
	// repairEvery is the shortest time between two repairs of a shard.
	repairEvery = 10 * time.Minute
)

// A Checker checks status. Its rounds follow each other; nothing else may be called
// while one runs.
type Checker struct {
	cfg     Config
	web     *web
	turn    turn
	seen    map[place]sight
	repairs map[place]time.Time // on the process's own clock
}

// turn is where the next round goes on.
type turn struct {
	issuer pki.IssuerID
	shard  int
}

// New returns a Checker.
func New(cfg Config) *Checker {
	if cfg.Every == 0 {
		cfg.Every = time.Minute
	}
	return &Checker{cfg: cfg, web: newWeb(), seen: make(map[place]sight), repairs: make(map[place]time.Time)}
}

// Run makes a round every so often until ctx ends, the first not at once: what was
// just started may not have published yet. Errors are logged; they do not end it.
func (c *Checker) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := c.Round(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Log.ErrorContext(ctx, "check status", "error", err)
		}
	}
}

// Round asks the OCSP responder of each issuer and looks at up to perRound shards.
func (c *Checker) Round(ctx context.Context) error {
	issuers, err := c.cfg.Store.AllIssuers(ctx)
	if err != nil {
		return err
	}
	now := c.cfg.Now()
	var live []*pki.Issuer
	for _, i := range issuers {
		if i.StatusURL != "" && !now.After(i.NotAfter) {
			live = append(live, i)
		}
	}
	for _, i := range live {
		if i.Key == pki.OfflineKey || ctx.Err() != nil {
			continue
		}
		if err := c.checkOCSP(ctx, i); err != nil {
			c.cfg.Log.WarnContext(ctx, "check OCSP", "issuer", i.ID, "error", err)
		}
	}
	for _, next := range c.next(live) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.checkShard(ctx, next.issuer, next.shard); err != nil {
			c.cfg.Log.WarnContext(ctx, "check CRL", "issuer", next.issuer.ID, "shard", next.shard, "error", err)
		}
	}
	return nil
}

// A step is one shard to look at.
type step struct {
	issuer *pki.Issuer
	shard  int
}

// next returns the shards of this round, from where the last one ended.
func (c *Checker) next(issuers []*pki.Issuer) (steps []step) {
	first, total := 0, 0
	for n, i := range issuers {
		if i.ID == c.turn.issuer {
			first = n
		}
		total += i.Shards
	}
	if len(issuers) == 0 {
		return nil
	}
	if issuers[first].ID != c.turn.issuer {
		c.turn = turn{issuer: issuers[first].ID}
	}
	n, shard := first, c.turn.shard
	for len(steps) < min(perRound, total) {
		if shard >= issuers[n].Shards {
			n, shard = (n+1)%len(issuers), 0
		}
		steps = append(steps, step{issuers[n], shard})
		shard++
	}
	c.turn = turn{issuers[n].ID, shard}
	return steps
}

// repair has a list be made anew, and published again where it is published, but not
// again and again.
func (c *Checker) repair(ctx context.Context, issuer *pki.Issuer, list revocation.List, where string) {
	if where != atURL && c.mayRepair(place{list, where}) {
		c.cfg.Publisher.Again(where, list)
	}
	if issuer.Key == pki.OfflineKey || !c.mayRepair(place{list: revocation.List{Issuer: list.Issuer, Shard: list.Shard}}) {
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

// mayRepair reports whether the last repair there is long enough ago, and notes this
// one. What is long past is forgotten.
func (c *Checker) mayRepair(at place) bool {
	maps.DeleteFunc(c.repairs, func(_ place, last time.Time) bool { return time.Since(last) >= repairEvery })
	if _, ok := c.repairs[at]; ok {
		return false
	}
	c.repairs[at] = time.Now()
	return true
}
