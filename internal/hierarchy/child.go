package hierarchy

import (
	"context"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// DefaultChildren is how many children a tenant may have where the platform operator
// set nothing else, and MaxChildren the most that can be set.
const (
	DefaultChildren = 100
	MaxChildren     = 1000
)

// MayHave returns how many children a tenant may have.
func MayHave(t *pki.Tenant) int64 {
	if t.Children == nil {
		return DefaultChildren
	}
	return int64(*t.Children)
}

// CreateChild makes a child of the permit's tenant: a tenant like any other, that its
// parent may suspend and lend to. A child has no children. It needs
// access.ManageChildren.
func (s *Service) CreateChild(ctx context.Context, g access.Permit, id pki.TenantID, organization string) (*pki.Tenant, error) {
	if err := g.Check(access.ManageChildren); err != nil {
		return nil, err
	}
	if err := pki.CheckSlug("tenant", string(id)); err != nil {
		return nil, err
	}
	if own := string(g.Tenant()) + "-"; !strings.HasPrefix(string(id), own) {
		return nil, pki.Errorf(pki.Malformed, "the name of a child begins with that of its parent, as %soem: what names others have is nobody's business, and none is taken from them", own)
	}
	if err := pki.CheckText("organisation", organization); err != nil {
		return nil, err
	}
	t := &pki.Tenant{ID: id, Organization: organization, Created: s.cfg.Now().UTC(), Parent: g.Tenant(), Approvals: true}
	return t, s.cfg.Store.PutTenant(ctx, t, s.event(g, "child.create", "tenant:"+string(id), organization))
}

// Children returns the children of the permit's tenant. It needs
// access.ManageChildren.
func (s *Service) Children(ctx context.Context, g access.Permit) ([]*pki.Tenant, error) {
	if err := g.Check(access.ManageChildren); err != nil {
		return nil, err
	}
	return s.cfg.Store.Children(ctx, g.Tenant())
}

// SuspendChild ends, until it is resumed, all that the child's people and devices may
// do: nobody of it is heard, and nothing is issued to it. Status goes on. It needs
// access.ManageChildren.
func (s *Service) SuspendChild(ctx context.Context, g access.Permit, child pki.TenantID, suspended bool) (*pki.Tenant, error) {
	if err := g.Check(access.ManageChildren); err != nil {
		return nil, err
	}
	action := "child.resume"
	if suspended {
		action = "child.suspend"
	}
	defer s.forgetSuspension(child) // also after an error, which may mean that the outcome is unknown
	if err := s.cfg.Store.SuspendChild(ctx, g.Tenant(), child, suspended, s.event(g, action, "tenant:"+string(child), "")); err != nil {
		return nil, err
	}
	return s.cfg.Store.Tenant(ctx, child)
}

// suspensionLife is how long a node may go on with what it knows of a tenant's
// suspension.
const suspensionLife = 2 * time.Second

type knownSuspension struct {
	suspended bool
	until     time.Time
}

// CheckSuspended is Forbidden for a tenant that its parent suspended: here at once, on
// other nodes within five seconds.
func (s *Service) CheckSuspended(ctx context.Context, tenant pki.TenantID) error {
	if tenant == pki.Platform {
		return nil
	}
	now := s.cfg.Now()
	s.mu.RLock()
	known, age := s.suspensions[tenant], s.suspensionAge
	s.mu.RUnlock()
	if !now.Before(known.until) {
		t, err := s.cfg.Store.Tenant(ctx, tenant)
		if err != nil {
			return err
		}
		known = knownSuspension{t.Suspended, now.Add(suspensionLife)}
		s.mu.Lock()
		if age == s.suspensionAge { // nobody changed one meanwhile
			s.suspensions[tenant] = known
		}
		s.mu.Unlock()
	}
	if known.suspended {
		return pki.Forbid(pki.TenantSuspended, "the tenant %s is suspended by its parent: whoever administers that one resumes it", tenant)
	}
	return nil
}

func (s *Service) forgetSuspension(tenant pki.TenantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspensionAge++
	delete(s.suspensions, tenant)
}
