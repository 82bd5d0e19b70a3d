// Package statuscheck looks at published status as relying parties do, and compares
// it with the store. It is not the publisher, and takes nothing from its memory: it
// fetches CRLs and CA certificates from the URLs that certificates name and from the
// targets that they are published to, asks OCSP about certificates whose status it knows,
// raises alarms for what is stale, shrunken, incomplete or wrong, and has it made and
// published anew.
package statuscheck

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/tbs"
)

// Store is what the checker compares with.
type Store interface {
	// AllIssuers returns every issuer that has a certificate.
	AllIssuers(ctx context.Context) ([]*pki.Issuer, error)
	// Shard, Revoked, Changed and Status are revocation.Store's.
	Shard(ctx context.Context, issuer pki.IssuerID, shard int) (revocation.ShardState, error)
	Revoked(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, now time.Time, span revocation.Span, limit int) ([]pki.Revocation, error)
	Changed(ctx context.Context, issuer pki.IssuerID, shard int, since, upto int64, now time.Time, limit int) (entries []pki.Revocation, last int64, err error)
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error)
	// LatestEntries returns the latest entry, releases too, of each of the serials that
	// has one, in order of serial. The serials are of the shard and in order. What it
	// costs grows with them alone.
	LatestEntries(ctx context.Context, issuer pki.IssuerID, shard int, serials []pki.Serial) ([]pki.Revocation, error)
	// SampleSerial returns the serial of some certificate of the issuer, at or
	// soon after the given one; NotFound where it finds none.
	SampleSerial(ctx context.Context, issuer pki.IssuerID, from pki.Serial) (pki.Serial, error)
}

// Authority checks and renews CRLs; revocation.Service does.
type Authority interface {
	// Verify checks that a CRL is one of the list.
	Verify(ctx context.Context, list revocation.List, crl []byte) (*tbs.ParsedCRL, error)
	// CRL returns the latest CRL of a list, or NotFound. It is not changed.
	CRL(ctx context.Context, list revocation.List) (*revocation.CRL, error)
	// Recover takes over what the store lost of a CRL that is published.
	Recover(ctx context.Context, list revocation.List, published []byte) (behind bool, err error)
	// Renew has the CRLs of a shard be made anew.
	Renew(ctx context.Context, g access.Permit, issuer pki.IssuerID, shard int) error
}

// Chains has the certificates of issuers; hierarchy.Service is one.
type Chains interface {
	// Chain returns DER certificates: the issuer's own, then up to and with the root.
	Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error)
}

// Publisher publishes to a target again; publish.Publisher does.
type Publisher interface {
	Again(target string, list revocation.List)
	AgainChain(target string, issuer pki.IssuerID)
	// Reached returns when something was last brought to the target, by the process's
	// own clock; zero for never.
	Reached(target string) time.Time
}

// Target is a place that CRLs and CA certificates are published to.
type Target interface {
	Read(ctx context.Context, name string, limit int64) (content []byte, version string, err error)
}

// Config is what a Checker is made of.
type Config struct {
	Store     Store
	Authority Authority
	Chains    Chains
	Publisher Publisher
	Targets   map[string]Target
	Alarms    *alarm.Board
	Now       pki.Clock
	Log       *slog.Logger

	// Every is the time between two rounds. Zero is a minute.
	Every time.Duration

	// Networks are those that status is fetched from though they are not of the
	// internet: a tenant says where its status is, and must not have the server
	// look at what is near it.
	Networks []netip.Prefix
}

const (
	// perRound bounds the shards that one round looks at, shared by the tenants, of
	// each one at least; the next goes on from there, so that an issuer with many is
	// gone round slowly.
	perRound = 100
	// lanes is how many tenants are looked at at once. After tenantTime nothing else
	// of a tenant is looked at in a round, and after roundTime no other tenant: those
	// that had no turn are before others of their kind in the next.
	lanes      = 8
	tenantTime = 25 * time.Second
	roundTime  = time.Minute
	// lookTime is how much of it goes to looking back, where the store is slow.
	lookTime = tenantTime / 5
	// behind is how old a revocation is that must be in the CRL and in OCSP.
	behind = 2 * time.Minute
	// cached is how much longer a CRL may be at the status URL: caches may keep it so
	// long (proto/status).
	cached = 5 * time.Minute
	// renewEvery is the shortest time after which the checker has a shard be made anew
	// once more.
	renewEvery = 10 * time.Minute
)

// A Checker checks status. Its rounds follow each other; nothing else may be called
// while one runs.
type Checker struct {
	cfg     Config
	web     *web
	patrols map[pki.TenantID]*patrol
	seed    maphash.Seed // of what is remembered
	stats   stat.StatusChecks
}

// Stats returns what was counted since the Checker was made; unlike the rest it may be
// called while a round runs.
func (c *Checker) Stats() *stat.StatusChecks { return &c.stats }

// New returns a Checker.
func New(cfg Config) *Checker {
	if cfg.Every == 0 {
		cfg.Every = time.Minute
	}
	return &Checker{cfg: cfg, web: newWeb(cfg.Networks), patrols: make(map[pki.TenantID]*patrol), seed: maphash.MakeSeed()}
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

// Round asks the OCSP responder of each issuer and looks at up to perRound shards, and at
// the certificates of their issuers: of several tenants at once, and of those first whose
// status could be fetched before, so that nobody waits for a tenant whose hosts do not
// answer.
func (c *Checker) Round(ctx context.Context) error {
	issuers, err := c.cfg.Store.AllIssuers(ctx)
	if err != nil {
		return err
	}
	now := c.cfg.Now()
	live := make(map[pki.TenantID][]*pki.Issuer)
	for _, i := range issuers {
		if i.StatusURL != "" && !now.After(i.NotAfter) {
			live[i.Tenant] = append(live[i.Tenant], i)
		}
	}
	for tenant := range live {
		if c.patrols[tenant] == nil {
			c.patrols[tenant] = newPatrol(c, tenant)
		}
	}
	maps.DeleteFunc(c.patrols, func(tenant pki.TenantID, p *patrol) bool {
		p.follow(live[tenant])
		return live[tenant] == nil
	})
	order := slices.SortedFunc(maps.Values(c.patrols), func(a, b *patrol) int {
		return cmp.Or(cmp.Compare(a.troubled(), b.troubled()), a.last.Compare(b.last), cmp.Compare(a.tenant, b.tenant))
	})
	begun := time.Now()
	var g errgroup.Group
	g.SetLimit(lanes)
	for _, p := range order {
		if ctx.Err() != nil || time.Since(begun) > roundTime {
			break
		}
		p.share = max(1, maxFinal/len(order))
		g.Go(func() error {
			p.walk(ctx, max(1, perRound/len(order)))
			return nil
		})
	}
	g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.stats.Rounds.Add(1)
	c.stats.Round.Set(now)
	return nil
}
