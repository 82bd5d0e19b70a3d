// Package publish brings CRLs and CA certificates to where relying parties fetch
// them beside pando's own listener: to directories and buckets.
//
// Each CRL becomes an object that never changes, crl/{issuer}/{shard}/{number}.crl,
// and then the pointer crl/{issuer}/{shard}.crl, which certificates name, moves to
// it: conditionally, and never to a lower number. What a target has is read from
// the target; nothing about it is kept elsewhere, so that a target that was emptied,
// or put back from a backup, gets what it lacks.
//
// Each target has a lane of its own: one that is down holds up no other, nor the
// store.
package publish

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Target keeps objects; blob.Directory and blob.Bucket do.
type Target interface {
	// Create writes an object that never changes; Conflict where one with other
	// content has the name.
	Create(ctx context.Context, name string, content []byte, contentType string) error
	// Replace writes an object whose version is the given one, "" for one that is
	// not there, and returns the new version; Conflict where it is another.
	Replace(ctx context.Context, name, version string, content []byte, contentType string) (string, error)
	// Read returns an object and its version, or NotFound.
	Read(ctx context.Context, name string, limit int64) (content []byte, version string, err error)
	// Remove removes an object, if it is there.
	Remove(ctx context.Context, name string) error
}

// Source has the CRLs; revocation.Service is one.
type Source interface {
	// Latest calls f with each list that has a CRL, and its number.
	Latest(ctx context.Context, f func(list revocation.List, number int64)) error
	// CRL returns the latest CRL of a list, or NotFound.
	CRL(ctx context.Context, list revocation.List) (*revocation.CRL, error)
	// Verify checks that a CRL is one of the list.
	Verify(ctx context.Context, list revocation.List, crl []byte) (*tbs.ParsedCRL, error)
	// Recover takes over what the store lost of a published CRL. behind says that the
	// store's latest may not take its place, and will be followed by one that may.
	// Conflict where it cannot be.
	Recover(ctx context.Context, list revocation.List, published []byte) (behind bool, err error)
}

// Chains has the certificates of issuers; hierarchy.Service is one.
type Chains interface {
	// Chain returns DER certificates: the issuer's own, then up to and with the
	// root.
	Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error)
}

// Config is what a Publisher is made of.
type Config struct {
	Targets map[string]Target // by the name that alarms and logs give it
	Source  Source
	Chains  Chains
	Alarms  *alarm.Board
	Log     *slog.Logger
}

const (
	// survey is how often all lists are looked through: for what another process
	// made, and for what was put off.
	survey = 10 * time.Minute
	// deadline ends the publishing of one CRL to one target.
	deadline = 5 * time.Minute
	// lateAfter is for how long a target may fail before that is an alarm.
	lateAfter = time.Minute
	// After a failure a target is left alone for firstPause, then for twice as
	// long each time, up to maxPause.
	firstPause = time.Second
	maxPause   = time.Minute
)

// A Publisher publishes to all targets. Its methods are safe for concurrent use.
type Publisher struct {
	cfg   Config
	lanes []*lane
}

// New returns a Publisher, which works while Run does.
func New(cfg Config) *Publisher {
	p := &Publisher{cfg: cfg}
	for name, target := range cfg.Targets {
		p.lanes = append(p.lanes, newLane(name, target, cfg))
	}
	return p
}

// Published implements revocation.Publisher: the list has a new CRL.
func (p *Publisher) Published(list revocation.List) {
	for _, l := range p.lanes {
		l.enqueue(job{list: list})
	}
}

// Again has a list be published to the named target though it was before: what the
// target has is read anew. The checker asks for it.
func (p *Publisher) Again(target string, list revocation.List) {
	for _, l := range p.lanes {
		if l.name == target {
			l.enqueue(job{list: list, again: true})
		}
	}
}

// AgainChain has an issuer's certificates be published to the named target though they
// were before. The checker asks for it.
func (p *Publisher) AgainChain(target string, issuer pki.IssuerID) {
	for _, l := range p.lanes {
		if l.name == target {
			j := chainOf(issuer)
			j.again = true
			l.enqueue(j)
		}
	}
}

// Reached returns when something was last brought to the named target, or found there as
// it is to be; zero for never since the Publisher was made.
func (p *Publisher) Reached(target string) time.Time {
	for _, l := range p.lanes {
		if l.name == target {
			return l.stats.Done.Value()
		}
	}
	return time.Time{}
}

// Run publishes until ctx ends. What goes wrong is logged, raised as an alarm and
// tried again; it does not end it.
func (p *Publisher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range p.lanes {
		g.Go(func() error {
			l.run(ctx)
			return nil
		})
	}
	g.Go(func() error {
		p.surveys(ctx)
		return nil
	})
	return g.Wait()
}

// surveys looks through all lists at once and then every so often.
func (p *Publisher) surveys(ctx context.Context) {
	if len(p.lanes) == 0 {
		return
	}
	tick := time.NewTicker(survey)
	defer tick.Stop()
	for {
		err := p.cfg.Source.Latest(ctx, func(list revocation.List, number int64) {
			for _, l := range p.lanes {
				l.enqueueNewer(list, number)
			}
		})
		if err != nil && ctx.Err() == nil {
			p.cfg.Log.ErrorContext(ctx, "look through the CRLs to publish", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
