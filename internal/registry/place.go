package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A PlaceKind is what a Place is.
type PlaceKind string

// The kinds of place, as table ref names them.
const (
	ProductLine PlaceKind = "line"
	Site        PlaceKind = "site"
)

// String returns the kind in words.
func (k PlaceKind) String() string {
	if k == ProductLine {
		return "product line"
	}
	return string(k)
}

// scope is where the place of a name is.
func (k PlaceKind) scope(name string) access.Scope {
	if k == ProductLine {
		return access.Scope{ProductLine: name}
	}
	return access.Scope{Site: name}
}

// target is the kind as it stands in the targets and actions of events.
func (k PlaceKind) target() string { return strings.ReplaceAll(k.String(), " ", "-") }

// A Place is a product line or a site.
type Place struct {
	Kind        PlaceKind
	Tenant      pki.TenantID
	Name        string // see CheckName; unique in the tenant among its kind
	Description string // for people; at most MaxDescription bytes
	Actor       string // who registered it; "" is by its first use
	Created     time.Time
}

// MaxDescription is the longest description in bytes.
const MaxDescription = 400

// CheckName reports whether name can name a product line, a lot or a site: as a
// device's id can.
func CheckName(what, name string) error {
	if pki.CheckDevice(pki.DeviceID(name)) != nil {
		return pki.Errorf(pki.Malformed, "%s %.40q: a name has 1 to 128 printable ASCII characters and no space at either end", what, name)
	}
	return nil
}

func checkDescription(text string) error {
	if len(text) > MaxDescription || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return pki.Errorf(pki.Malformed, "a description is one line of at most %d bytes", MaxDescription)
	}
	return nil
}

// CreatePlace registers a product line or a site; Conflict where it is there
// already. It needs access.ManageRegistry.
func (s *Service) CreatePlace(ctx context.Context, g access.Permit, kind PlaceKind, name, description string) (*Place, error) {
	if err := g.CheckAt(access.ManageRegistry, kind.scope(name)); err != nil {
		return nil, err
	}
	if err := CheckName(kind.String(), name); err != nil {
		return nil, err
	}
	if err := checkDescription(description); err != nil {
		return nil, err
	}
	p := &Place{Kind: kind, Tenant: g.Tenant(), Name: name, Description: description, Actor: g.Actor(), Created: s.cfg.Now().UTC()}
	defer s.Forget()
	return p, s.cfg.Store.PutPlace(ctx, p, s.event(g, kind.target()+".create", kind.target()+":"+name, description))
}

// DescribePlace changes what is said of a product line or a site. It needs
// access.ManageRegistry.
func (s *Service) DescribePlace(ctx context.Context, g access.Permit, kind PlaceKind, name, description string) (*Place, error) {
	if err := g.CheckAt(access.ManageRegistry, kind.scope(name)); err != nil {
		return nil, err
	}
	if err := checkDescription(description); err != nil {
		return nil, err
	}
	err := s.cfg.Store.DescribePlace(ctx, g.Tenant(), kind, name, description,
		s.event(g, kind.target()+".update", kind.target()+":"+name, fmt.Sprintf("description %q", description)))
	if err != nil {
		return nil, err
	}
	return s.cfg.Store.Place(ctx, g.Tenant(), kind, name)
}

// Place returns a product line or a site. It needs access.ReadRegistry.
func (s *Service) Place(ctx context.Context, g access.Permit, kind PlaceKind, name string) (*Place, error) {
	if err := g.CheckAt(access.ReadRegistry, kind.scope(name)); err != nil {
		return nil, err
	}
	return s.cfg.Store.Place(ctx, g.Tenant(), kind, name)
}

// Places returns a page of the tenant's product lines or sites, in order of name: those
// that are within the permit, so that a page may have fewer, or none, and a Next. It
// needs access.ReadRegistry.
func (s *Service) Places(ctx context.Context, g access.Permit, kind PlaceKind, p Paging) (Page[*Place], error) {
	if err := g.CheckSome(access.ReadRegistry); err != nil {
		return Page[*Place]{}, err
	}
	out, err := page(s.list(g.Tenant(), "place "+string(kind)), p, func(after []byte) ([]*Place, error) {
		return s.cfg.Store.Places(ctx, g.Tenant(), kind, string(after), p.Limit+1)
	}, func(x *Place) []byte { return []byte(x.Name) })
	out.Items = slices.DeleteFunc(out.Items, func(x *Place) bool { return !g.Covers(kind.scope(x.Name)) })
	return out, err
}
