package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A LotState is where a lot is in its life.
type LotState string

// The states of a lot. In a closed one nothing is enrolled any more.
const (
	LotOpen   LotState = "open"
	LotClosed LotState = "closed"
)

// A Lot is devices that are made together, for a work order for instance.
type Lot struct {
	Tenant      pki.TenantID
	Name        string // see CheckName; unique in the tenant
	ProductLine string // "" while none is known
	Site        string // "" where it has none
	Ordered     int64  // how many devices were ordered; 0 is unsaid
	State       LotState
	Actor       string // who registered it; "" is by its first use
	Created     time.Time
	Closed      time.Time // zero while open
}

// A LotChange is what to change of a lot; nil leaves as it is.
type LotChange struct {
	ProductLine *string
	Site        *string
	Ordered     *int64
}

// A LotFilter says which lots are wanted; what is empty is any.
type LotFilter struct {
	ProductLine string
	Site        string
	State       LotState
}

// maxOrdered is the largest quantity of a lot.
const maxOrdered = 1_000_000_000

// check refuses what a lot cannot be.
func (l *Lot) check() error {
	for what, name := range map[string]string{"lot": l.Name, "product line": l.ProductLine, "site": l.Site} {
		if name == "" && what != "lot" {
			continue
		}
		if err := CheckName(what, name); err != nil {
			return err
		}
	}
	if l.Ordered < 0 || l.Ordered > maxOrdered {
		return pki.Errorf(pki.Malformed, "ordered %d: from 0 to %d", l.Ordered, maxOrdered)
	}
	return nil
}

// Where returns where the lot is.
func (l *Lot) Where() access.Scope {
	return access.Scope{ProductLine: l.ProductLine, Site: l.Site}
}

// says returns the lot in one line, for events.
func (l *Lot) says() string {
	return fmt.Sprintf("product line %q, site %q, ordered %d", l.ProductLine, l.Site, l.Ordered)
}

// CreateLot registers a lot, and its product line and site where they are new
// and the tenant is not strict; Conflict where there is a lot of the name. It
// needs access.ManageRegistry.
func (s *Service) CreateLot(ctx context.Context, g access.Permit, l Lot) (*Lot, error) {
	if err := g.CheckAt(access.ManageRegistry, l.Where()); err != nil {
		return nil, err
	}
	l.Tenant, l.State, l.Actor, l.Created, l.Closed = g.Tenant(), LotOpen, g.Actor(), s.cfg.Now().UTC(), time.Time{}
	if err := l.check(); err != nil {
		return nil, err
	}
	if err := s.known(ctx, l.Tenant, pki.Placement{ProductLine: l.ProductLine, Site: l.Site}); err != nil {
		return nil, err
	}
	defer s.Forget()
	return &l, s.cfg.Store.PutLot(ctx, &l, s.event(g, "lot.create", "lot:"+l.Name, l.says()))
}

// ChangeLot changes an open lot; Conflict where it is closed. Certificates that
// were issued before keep the place that they were issued in. It needs
// access.ManageRegistry.
func (s *Service) ChangeLot(ctx context.Context, g access.Permit, name string, ch LotChange) (*Lot, error) {
	l, err := s.lot(ctx, g, access.ManageRegistry, name)
	if err != nil {
		return nil, err
	}
	if ch.ProductLine != nil {
		l.ProductLine = *ch.ProductLine
	}
	if ch.Site != nil {
		l.Site = *ch.Site
	}
	if ch.Ordered != nil {
		l.Ordered = *ch.Ordered
	}
	if err := g.CheckAt(access.ManageRegistry, l.Where()); err != nil { // where it comes to be
		return nil, err
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	if err := s.known(ctx, l.Tenant, pki.Placement{ProductLine: l.ProductLine, Site: l.Site}); err != nil {
		return nil, err
	}
	defer s.Forget()
	return l, s.cfg.Store.ChangeLot(ctx, l, s.event(g, "lot.update", "lot:"+name, l.says()))
}

// Lot returns a lot. It needs access.ReadRegistry.
func (s *Service) Lot(ctx context.Context, g access.Permit, name string) (*Lot, error) {
	return s.lot(ctx, g, access.ReadRegistry, name)
}

// lot returns a lot that is within a permit.
func (s *Service) lot(ctx context.Context, g access.Permit, permission access.Permission, name string) (*Lot, error) {
	if err := g.CheckSome(permission); err != nil {
		return nil, err
	}
	l, err := s.cfg.Store.Lot(ctx, g.Tenant(), name)
	if err != nil {
		return nil, err
	}
	if err := g.CheckAt(permission, l.Where()); err != nil {
		return nil, err
	}
	return l, nil
}

// Lots returns a page of the tenant's lots, in order of name: those that are within the
// permit, so that a page may have fewer, or none, and a Next. It needs
// access.ReadRegistry.
func (s *Service) Lots(ctx context.Context, g access.Permit, f LotFilter, p Paging) (Page[*Lot], error) {
	if err := g.CheckSome(access.ReadRegistry); err != nil {
		return Page[*Lot]{}, err
	}
	if f.State != "" && f.State != LotOpen && f.State != LotClosed {
		return Page[*Lot]{}, pki.Errorf(pki.Malformed, "state %.20q: a lot is %s or %s", f.State, LotOpen, LotClosed)
	}
	out, err := page(s.list(g.Tenant(), fmt.Sprintf("lots %q", f)), p, func(after []byte) ([]*Lot, error) {
		return s.cfg.Store.Lots(ctx, g.Tenant(), f, string(after), p.Limit+1)
	}, func(l *Lot) []byte { return []byte(l.Name) })
	out.Items = slices.DeleteFunc(out.Items, func(l *Lot) bool { return !g.Covers(l.Where()) })
	return out, err
}
