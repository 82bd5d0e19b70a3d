package approval

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// Principals tells who a principal is at this moment, and what it may do now. One
// whose proof has ended is Unauthenticated.
type Principals interface {
	Principal(ctx context.Context, tenant pki.TenantID, id string) (access.Principal, error)
	// Maker returns the id of the principal that made another; "" where nobody is
	// known to have.
	Maker(ctx context.Context, tenant pki.TenantID, id string) (string, error)
	// Active returns everybody who holds a token of the tenant at this moment.
	Active(ctx context.Context, tenant pki.TenantID) ([]access.Principal, error)
}

// Certificates knows those whom a client certificate proves.
type Certificates interface {
	// Again tells whom the certificates that a client presented to a tenant prove at
	// this moment, as if they came now.
	Again(ctx context.Context, tenant pki.TenantID, presented []byte) (access.Principal, error)
	// Asker returns the id of the principal that asked for the certificate by which
	// another is proved, where that was issued here; "" where that is not known.
	Asker(ctx context.Context, tenant pki.TenantID, id string) (string, error)
}

// An Executor does what a change of its kind asks for.
type Executor struct {
	Permission access.Permission // that the requester needs, still
	// Do decodes the payload and has the service do it that asked the gate, under
	// the permit, which carries the change.
	Do func(ctx context.Context, g access.Permit, payload []byte) error
}

// Execute returns the executor that decodes payloads into P.
func Execute[P any](permission access.Permission, do func(ctx context.Context, g access.Permit, p P) error) Executor {
	return Executor{permission, func(ctx context.Context, g access.Permit, payload []byte) error {
		var p P
		if err := strictjson.Unmarshal(payload, &p); err != nil {
			return fmt.Errorf("reading a change's payload: %w", err)
		}
		return do(ctx, g, p)
	}}
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store        Store
	Principals   Principals
	Certificates Certificates
	Alarms       *alarm.Board
	Now          pki.Clock
	Log          *slog.Logger
}

// A Service keeps rules and changes. Its methods are safe for concurrent use.
type Service struct {
	cfg       Config
	executors map[Kind]Executor // set once, before Run
	stats     Stats

	mu        sync.Mutex
	executing map[pki.ChangeID]bool // on this node; guarded by mu
}

// New returns a Service that can execute nothing yet but what it does itself.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg, executors: make(map[Kind]Executor), executing: make(map[pki.ChangeID]bool)}
	s.executors[LoosenRule] = Execute(access.ManageApprovals, s.loosen)
	return s
}

// Serve says how changes are executed. It is called before Run and before any other
// method, since the services that execute ask this one.
func (s *Service) Serve(executors ...map[Kind]Executor) {
	for _, some := range executors {
		maps.Copy(s.executors, some)
	}
}

// Change returns a change of the permit's tenant: any with access.ReadApprovals, and
// the principal's own whatever it may do.
func (s *Service) Change(ctx context.Context, who access.Principal, id pki.ChangeID) (*Change, error) {
	c, err := s.cfg.Store.Change(ctx, who.Tenant, id)
	if err != nil {
		return nil, err
	}
	if c.Requester.ID != who.ID {
		if err := authorizeAt(who, access.ReadApprovals, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Waits says for people what a change waits for, or how it stands.
func (s *Service) Waits(ctx context.Context, tenant pki.TenantID, id pki.ChangeID) (string, error) {
	c, err := s.cfg.Store.Change(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	if c.State != Pending && c.State != Approved {
		return fmt.Sprintf("change %s is %s", c.ID, c.State), nil
	}
	return (&Waiting{Change: c}).Error(), nil
}

// authorizeAt refuses whoever does not have a permission where a change is.
func authorizeAt(who access.Principal, permission access.Permission, c *Change) error {
	g, err := who.Authorize(permission, c.Tenant)
	if err != nil {
		return err
	}
	return g.CheckAt(permission, c.Place)
}

// Changes returns up to limit changes of the permit's tenant, newest first, with ids
// below before, of one state where it is not "", and where the next page begins ("" after
// the last). Those outside of the permit's scopes are left out. It needs
// access.ReadApprovals.
func (s *Service) Changes(ctx context.Context, g access.Permit, state State, before pki.ChangeID, limit int) (all []*Change, next pki.ChangeID, err error) {
	if err := g.CheckSome(access.ReadApprovals); err != nil {
		return nil, "", err
	}
	if state != "" && !slices.Contains(States(), state) {
		return nil, "", pki.Errorf(pki.Malformed, "state %.20q: it is one of %v", string(state), States())
	}
	all, err = s.cfg.Store.Changes(ctx, g.Tenant(), state, before, limit)
	if err == nil && len(all) == limit {
		next = all[limit-1].ID
	}
	return slices.DeleteFunc(all, func(c *Change) bool { return !g.Covers(c.Place) }), next, err
}

// event makes the event of what a principal did with a change.
func (s *Service) event(tenant pki.TenantID, actor, action string, id pki.ChangeID, detail string) pki.Event {
	return pki.Event{Tenant: tenant, At: s.now(), Actor: actor, Action: "change." + action, Target: "change:" + string(id), Detail: detail}
}

func (s *Service) now() time.Time { return s.cfg.Now().UTC() }
