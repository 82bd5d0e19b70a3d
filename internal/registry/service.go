package registry

import (
	"context"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store Store
	Now   pki.Clock

	// CursorKey seals cursors. It is the same on all nodes of a deployment, and
	// known to nobody else.
	CursorKey [32]byte

	// Revoked is called when revocation entries may have been stored, so that
	// status shows them at once.
	Revoked func()
}

// A Service is the registry. Its methods are safe for concurrent use.
type Service struct {
	cfg     Config
	cursors *cursorKey
	stats   *Stats

	mu       sync.RWMutex
	complete map[placed]completed // guarded by mu
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, cursors: newCursorKey(cfg.CursorKey), stats: newStats(), complete: map[placed]completed{}}
}

type placed struct {
	tenant pki.TenantID
	pki.Placement
}

type completed struct {
	pki.Placement
	until time.Time
}

// What Complete found is believed for completeLife, as an endpoint is; a change
// on another node shows after this at the latest.
const (
	completeLife = 2 * time.Second
	maxComplete  = 4096
)

// Complete returns a placement with the product line and the site of its lot
// where it says none. It is Conflict where the lot is closed, PolicyRefused where it is of another
// product line, and where the tenant is strict and a name is not registered.
func (s *Service) Complete(ctx context.Context, tenant pki.TenantID, p pki.Placement) (pki.Placement, error) {
	if p == (pki.Placement{}) {
		return p, nil
	}
	key, now := placed{tenant, p}, s.cfg.Now()
	s.mu.RLock()
	c, ok := s.complete[key]
	s.mu.RUnlock()
	if ok && now.Before(c.until) {
		return c.Placement, nil
	}
	if err := s.known(ctx, tenant, p); err != nil {
		return p, err
	}
	whole, err := s.withLot(ctx, tenant, p)
	if err != nil {
		return p, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.complete) >= maxComplete {
		clear(s.complete)
	}
	s.complete[key] = completed{whole, now.Add(completeLife)}
	return whole, nil
}

// withLot completes a placement by its lot.
func (s *Service) withLot(ctx context.Context, tenant pki.TenantID, p pki.Placement) (pki.Placement, error) {
	if p.Lot == "" {
		return p, nil
	}
	l, err := s.cfg.Store.Lot(ctx, tenant, p.Lot)
	switch {
	case pki.KindOf(err) == pki.NotFound: // its first use registers it
		return p, nil
	case err != nil:
		return p, err
	case l.State == LotClosed:
		return p, pki.Errorf(pki.Conflict, "the lot %q is closed since %s: nothing is enrolled in it any more", l.Name, l.Closed.Format(time.RFC3339))
	case p.ProductLine != "" && l.ProductLine != "" && p.ProductLine != l.ProductLine:
		return p, pki.Errorf(pki.PolicyRefused, "the lot %q is of the product line %q, not %q", l.Name, l.ProductLine, p.ProductLine)
	}
	if p.ProductLine == "" {
		p.ProductLine = l.ProductLine
	}
	if p.Site == "" {
		p.Site = l.Site
	}
	return p, nil
}

// known refuses, where the tenant is strict, names that are not registered.
func (s *Service) known(ctx context.Context, tenant pki.TenantID, p pki.Placement) error {
	strict, err := s.cfg.Store.Strict(ctx, tenant)
	if err != nil || !strict {
		return err
	}
	look := func(what, name string, find func() error) {
		if err != nil || name == "" {
			return
		}
		if err = find(); pki.KindOf(err) == pki.NotFound {
			err = pki.Errorf(pki.PolicyRefused, "the %s %q is not registered, and this tenant's registry is strict: create it first", what, name)
		}
	}
	look("product line", p.ProductLine, func() error { _, err := s.cfg.Store.Place(ctx, tenant, ProductLine, p.ProductLine); return err })
	look("site", p.Site, func() error { _, err := s.cfg.Store.Place(ctx, tenant, Site, p.Site); return err })
	look("lot", p.Lot, func() error { _, err := s.cfg.Store.Lot(ctx, tenant, p.Lot); return err })
	return err
}

// Forget drops what Complete found, after a change on this node.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.complete)
}

// Strict reports whether names must be registered before their first use in the
// grant's tenant. It needs access.ReadRegistry.
func (s *Service) Strict(ctx context.Context, g access.Permit) (bool, error) {
	if err := g.Check(access.ReadRegistry); err != nil {
		return false, err
	}
	return s.cfg.Store.Strict(ctx, g.Tenant())
}

// SetStrict says whether they must. It needs access.ManageRegistry.
func (s *Service) SetStrict(ctx context.Context, g access.Permit, strict bool) error {
	if err := g.Check(access.ManageRegistry); err != nil {
		return err
	}
	detail := "names are registered by their first use"
	if strict {
		detail = "names must be registered before their first use"
	}
	defer s.Forget()
	return s.cfg.Store.SetStrict(ctx, g.Tenant(), strict, s.event(g, "registry.update", "registry", detail))
}

// event makes the event of an act under the permit.
func (s *Service) event(g access.Permit, action, target, detail string) pki.Event {
	return pki.Event{Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: action, Target: target, Detail: detail}
}
