package retention

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store   Store
	Objects Objects
	// Hashes returns the hashes under which the log has n leaves from an index on.
	Hashes func(ctx context.Context, tenant pki.TenantID, from int64, n int) ([]tlog.Hash, error)
	// Requests returns the requests of the rows of a batch, in order, some before and behind
	// a row with it, and the number of the first. Each is as tbs.CutKey leaves it, nil where
	// none is kept; it is NotFound where none is of the row. batch.Service has it.
	Requests func(ctx context.Context, tenant pki.TenantID, id pki.BatchID, row int64) (first int64, requests [][]byte, err error)
	// Time is the node's clock as far as it is believed: by one that is wrong,
	// certificates would go that have not had their time.
	Time   func() (time.Time, error)
	Alarms *alarm.Board
	Gate   Gate
	Now    pki.Clock
	Log    *slog.Logger
}

// A Gate has acts of weight wait for approval.
type Gate interface {
	Pass(ctx context.Context, g access.Permit, r approval.Request) error
}

// A Service keeps to what tenants want kept. Its methods are safe for concurrent
// use.
type Service struct {
	cfg     Config
	wake    chan pki.TenantID // asks Run for a tenant, out of turn
	recent  objects
	working sync.Mutex // held while archives are made

	mu     sync.Mutex
	rounds map[pki.TenantID]Round // guarded by mu
	stats  Stats                  // guarded by mu
}

// A Round is the work of a tenant, the one that is going on or the last one, since
// the server was started.
type Round struct {
	Started      time.Time // zero where there was none
	Finished     time.Time // zero while it is going on
	Scanned      int64     // row of the store up to which it has looked
	Rows         int64     // up to which it is to look
	Archives     int64     // done
	Certificates int64     // taken out of the store
	Error        string    // why it ended early, safe to show
}

// Stats are counts since the server was started.
type Stats struct {
	Archives, Certificates, Failures int64

	Rounds int64     // of single tenants, that came to their end
	Round  time.Time // when the last of them did; zero before the first
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, wake: make(chan pki.TenantID, 64), rounds: make(map[pki.TenantID]Round)}
}

// A Setting is what a tenant wants, and what is being done about it.
type Setting struct {
	Keep  time.Duration // 0 is for good
	Place string        // what archives are in, as Objects.Kind: where it is, is its operator's
	Round Round
}

// Setting returns how long expired certificates of the permit's tenant stay. It
// needs access.ReadEvents.
func (s *Service) Setting(ctx context.Context, g access.Permit) (*Setting, error) {
	if err := checkReads(g); err != nil {
		return nil, err
	}
	return s.setting(ctx, g.Tenant())
}

// checkReads reports whether a permit reads what is archived of a tenant. The platform
// has events, and no certificates.
func checkReads(g access.Permit) error {
	if err := g.Check(access.ReadEvents); err != nil {
		return err
	}
	if g.Tenant() == pki.Platform {
		return pki.Errorf(pki.NotFound, "which tenant's certificates? The platform has none: %s", access.SeesNoTenant)
	}
	return nil
}

func (s *Service) setting(ctx context.Context, tenant pki.TenantID) (*Setting, error) {
	keep, err := s.cfg.Store.Keep(ctx, tenant)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Setting{Keep: keep, Place: s.cfg.Objects.Kind(), Round: s.rounds[tenant]}, nil
}

// MaxKeep is the longest time that is not for good.
const MaxKeep = 100 * 366 * 24 * time.Hour

// Set says for how long expired certificates stay; 0 is for good. It needs
// access.ManageRetention.
func (s *Service) Set(ctx context.Context, g access.Permit, keep time.Duration) (*Setting, error) {
	if err := g.Check(access.ManageRetention); err != nil {
		return nil, err
	}
	if keep < 0 || keep > MaxKeep || keep%time.Second != 0 {
		return nil, pki.Errorf(pki.Malformed, "expired certificates stay for whole seconds up to %d years, or for good", MaxKeep/(366*24*time.Hour))
	}
	before, err := s.cfg.Store.Keep(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	if before != keep {
		err := s.cfg.Gate.Pass(ctx, g, approval.Request{
			Kind: approval.ChangeRetention, Target: "retention", Payload: keepChange{seconds(before), seconds(keep)},
			Summary: fmt.Sprintf("expired certificates stay: before %s, after %s", inWords(before), inWords(keep)),
		})
		if err != nil {
			return nil, err
		}
		e := pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "retention.change", Target: "retention",
			Detail: fmt.Sprintf("expired certificates stay: before %s, after %s", inWords(before), inWords(keep)), Change: g.Change().ID}
		if err := s.cfg.Store.SetKeep(ctx, g.Tenant(), before, keep, e); err != nil {
			return nil, err
		}
	}
	return s.setting(ctx, g.Tenant())
}

// keepChange is what a change of kind approval.ChangeRetention asks for, in seconds; 0
// is for good.
type keepChange struct {
	Before int64 `json:"before_seconds"`
	Keep   int64 `json:"keep_seconds"`
}

func seconds(keep time.Duration) int64 { return int64(keep / time.Second) }

// Executors returns what does the acts of this service that were approved.
func (s *Service) Executors() map[approval.Kind]approval.Executor {
	return map[approval.Kind]approval.Executor{
		approval.ChangeRetention: approval.Execute(access.ManageRetention, func(ctx context.Context, g access.Permit, ch keepChange) error {
			_, err := s.Set(ctx, g, time.Duration(ch.Keep)*time.Second)
			return err
		}),
	}
}

func inWords(keep time.Duration) string {
	if keep == 0 {
		return "for good"
	}
	return keep.String()
}

// Preview counts what can be archived now; NotReady where certificates stay for good.
// It needs access.ManageRetention.
func (s *Service) Preview(ctx context.Context, g access.Permit) (Due, error) {
	if err := g.Check(access.ManageRetention); err != nil {
		return Due{}, err
	}
	before, err := s.before(ctx, g.Tenant())
	if err != nil {
		return Due{}, err
	}
	if before.IsZero() {
		return Due{}, pki.Errorf(pki.NotReady, "expired certificates of this tenant stay for good: say first how long they are to stay ('pando archive set')")
	}
	return s.cfg.Store.CountDue(ctx, g.Tenant(), before)
}

// before returns what certificates must have expired before to be archived now; the
// zero time where they stay for good.
func (s *Service) before(ctx context.Context, tenant pki.TenantID) (time.Time, error) {
	keep, err := s.cfg.Store.Keep(ctx, tenant)
	if err != nil || keep == 0 {
		return time.Time{}, err
	}
	now, err := s.cfg.Time()
	if err != nil {
		return time.Time{}, err
	}
	return now.UTC().Add(-keep).Truncate(time.Second), nil
}

// Begin has a round begin as soon as the one that is going on is over, and returns
// what there is to do. It needs access.ManageRetention.
func (s *Service) Begin(ctx context.Context, g access.Permit) (Due, error) {
	due, err := s.Preview(ctx, g)
	if err != nil {
		return Due{}, err
	}
	select {
	case s.wake <- g.Tenant():
	default: // as many wait already; the next round comes by itself
	}
	return due, nil
}

// Archives returns up to limit archives of the permit's tenant, newest first, from
// those below before on. It needs access.ReadEvents.
func (s *Service) Archives(ctx context.Context, g access.Permit, before ID, limit int) ([]*Archive, error) {
	if err := checkReads(g); err != nil {
		return nil, err
	}
	return s.cfg.Store.Archives(ctx, g.Tenant(), before, limit)
}

// Archive returns an archive. It needs access.ReadEvents.
func (s *Service) Archive(ctx context.Context, g access.Permit, id ID) (*Archive, error) {
	if err := checkReads(g); err != nil {
		return nil, err
	}
	return s.cfg.Store.Archive(ctx, g.Tenant(), id)
}

// Stats returns what was done since the server was started.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}
