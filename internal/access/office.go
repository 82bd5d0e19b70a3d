package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// GrantStore keeps own roles, and grants beside those that tokens and trusted
// authorities begin with. Each change stores its event in the same transaction.
type GrantStore interface {
	ScopeStore
	// PutRole stores a role; Conflict where the tenant has one of the name.
	PutRole(ctx context.Context, r *OwnRole, e pki.Event) error
	// ChangeRole replaces description and permissions; Conflict where there is no role
	// with the permissions that it was read with, or other trusted authorities have it
	// than those that it was read with, which are named in order as grants name them.
	ChangeRole(ctx context.Context, r *OwnRole, was []Permission, trusted []string, e pki.Event) error
	// DeleteRole is Conflict while somebody has it, or the approvals of an endpoint name it.
	DeleteRole(ctx context.Context, tenant pki.TenantID, name Role, e pki.Event) error

	// PutGrant stores a grant: NotFound where there is no such principal any more;
	// Conflict where it is another trusted authority than Holder, or has MaxGrants, or this
	// grant, or where the role is an own one that does not include what the grant says.
	PutGrant(ctx context.Context, g *Grant, e pki.Event) error
	// DeleteGrant is NotFound where the tenant has no such grant.
	DeleteGrant(ctx context.Context, tenant pki.TenantID, id string, e pki.Event) error
	// Holder returns the id of the token or the trusted authority that a principal is; ""
	// where there is none, or it has ended at a time.
	Holder(ctx context.Context, tenant pki.TenantID, principal string, at time.Time) (string, error)
	// Grants returns a tenant's grants of a principal and a role, "" for any, by
	// principal and age.
	Grants(ctx context.Context, tenant pki.TenantID, principal string, role Role) ([]Grant, error)
}

// OfficeConfig is what an Office is made of; every field is needed.
type OfficeConfig struct {
	Store   GrantStore
	Gate    Gate
	Now     pki.Clock
	Changed func() // called after a change: what was remembered of grants holds no more
}

// An Office gives and takes roles.
type Office struct{ cfg OfficeConfig }

// NewOffice returns an Office.
func NewOffice(cfg OfficeConfig) *Office { return &Office{cfg} }

// OwnRoles returns the own roles of the permit's tenant. It needs ReadAccess.
func (o *Office) OwnRoles(ctx context.Context, p Permit) ([]*OwnRole, error) {
	if err := p.Check(ReadAccess); err != nil {
		return nil, err
	}
	return o.cfg.Store.Roles(ctx, p.tenant)
}

// CreateRole makes an own role. Whoever makes it has all that it includes, on the whole
// tenant, and ManageAccess there.
func (o *Office) CreateRole(ctx context.Context, p Permit, r OwnRole) (*OwnRole, error) {
	if err := o.checkRole(p, &r, nil); err != nil {
		return nil, err
	}
	have, err := o.cfg.Store.Roles(ctx, p.tenant)
	if err != nil {
		return nil, err
	}
	if len(have) >= MaxRoles {
		return nil, pki.Errorf(pki.Conflict, "a tenant has %d own roles at most", MaxRoles)
	}
	r.Created = o.cfg.Now().UTC()
	return &r, o.cfg.Store.PutRole(ctx, &r, o.event(p, "role.create", "role:"+string(r.Name), r.says()))
}

// ChangeRole replaces what an own role includes, for all who have it: within five
// seconds everywhere. Whoever changes it has all that is added, on the whole tenant.
func (o *Office) ChangeRole(ctx context.Context, p Permit, r OwnRole) (*OwnRole, error) {
	if err := p.Check(ManageAccess); err != nil {
		return nil, err
	}
	was, err := ownRole(ctx, o.cfg.Store, p.tenant, r.Name)
	if err != nil {
		return nil, err
	}
	if err := o.checkRole(p, &r, was.Permissions); err != nil {
		return nil, err
	}
	holders, err := o.cfg.Store.Grants(ctx, p.tenant, "", r.Name)
	if err != nil {
		return nil, err
	}
	var trusted []string
	for _, h := range holders {
		if certified(h.Principal) {
			trusted = append(trusted, h.Principal)
		}
	}
	trusted = slices.Compact(trusted)
	switch {
	case len(trusted) > 0: // who never decide
		if err := forCertificates(r.Permissions); err != nil {
			return nil, err
		}
		if !slices.Equal(r.Permissions, was.Permissions) {
			err = o.cfg.Gate.PassTrustedRole(ctx, p, &r, was.Permissions, trusted)
		}
	case decides(Lacking(r.Permissions, was.Permissions)):
		err = o.cfg.Gate.PassRole(ctx, p, &r, was.Permissions)
	}
	if err != nil {
		return nil, err
	}
	r.Created = was.Created
	defer o.cfg.Changed() // also after an error, which may mean that the outcome is unknown
	return &r, o.cfg.Store.ChangeRole(ctx, &r, was.Permissions, trusted, o.event(p, "role.change", "role:"+string(r.Name), r.says()))
}

// checkRole refuses a role that gives more than the permit's principal has; what it
// includes already is not given anew.
func (o *Office) checkRole(p Permit, r *OwnRole, already []Permission) error {
	if err := p.Check(ManageAccess); err != nil {
		return err
	}
	if r.Tenant = p.tenant; r.Tenant == pki.Platform {
		return pki.Errorf(pki.Malformed, "own roles belong to a tenant")
	}
	if err := r.check(); err != nil {
		return err
	}
	return p.checkGive(r.Name, Lacking(r.Permissions, already), []Scope{{}})
}

func (r *OwnRole) says() string {
	return fmt.Sprintf("permissions %v", r.Permissions)
}

// DeleteRole ends an own role that nobody has, and no endpoint's approvals name. It needs ManageAccess.
func (o *Office) DeleteRole(ctx context.Context, p Permit, name Role) error {
	if err := p.Check(ManageAccess); err != nil {
		return err
	}
	return o.cfg.Store.DeleteRole(ctx, p.tenant, name, o.event(p, "role.delete", "role:"+string(name), ""))
}

// Give gives a role on a scope to a token or to all whom a trusted authority certifies.
// Whoever gives it has ManageAccess and all that the role includes on a scope that
// covers it, also where they give it to themselves.
func (o *Office) Give(ctx context.Context, p Permit, principal string, role Role, s Scope) (*Grant, error) {
	if err := p.CheckSome(ManageAccess); err != nil {
		return nil, err
	}
	if kind, name, ok := strings.Cut(principal, ":"); !ok || name == "" || len(name) > 64 || kind != "token" && kind != "trust" {
		return nil, pki.Errorf(pki.Malformed, "principal %.60q: it is token:ID, or trust:NAME of a trusted authority", principal)
	}
	if role == Device {
		return nil, pki.Errorf(pki.Malformed, "the role %s is given where an authority is trusted, and nowhere else", role)
	}
	all, err := NewGrants(ctx, p, o.cfg.Store, principal, role, []Scope{s}, o.cfg.Now().UTC())
	if err != nil {
		return nil, err
	}
	if certified(principal) || decides(all[0].Permissions()) {
		if err := o.checkNew(ctx, &all[0]); err != nil {
			return nil, err
		}
		if certified(principal) {
			err = o.cfg.Gate.PassTrusted(ctx, p, all[0])
		} else {
			err = o.cfg.Gate.PassGrant(ctx, p, principal, role, s)
		}
		if err != nil {
			return nil, err
		}
	}
	defer o.cfg.Changed()
	return &all[0], o.cfg.Store.PutGrant(ctx, &all[0], o.event(p, "grant.add", principal, GrantsText(all)))
}

// checkNew refuses a grant that the store would refuse, before it waits for anybody, and
// more for devices: one enrols for itself alone. It says in the grant which trusted
// authority it is for; what is looked at after that is of this one, or of one that the
// store refuses.
func (o *Office) checkNew(ctx context.Context, g *Grant) error {
	holder, err := o.cfg.Store.Holder(ctx, g.Tenant, g.Principal, g.Created)
	if err != nil {
		return err
	}
	if holder == "" {
		return pki.Errorf(pki.NotFound, "there is no %s, or no more", g.Principal)
	}
	if certified(g.Principal) {
		g.Holder = holder
	}
	have, err := o.cfg.Store.Grants(ctx, g.Tenant, g.Principal, "")
	if err != nil {
		return err
	}
	for _, h := range have {
		switch {
		case h.Role == Device:
			return pki.Errorf(pki.Malformed, "%s is devices, and a device enrols for itself alone: trust the authority under another name for others", g.Principal)
		case h.Role == g.Role && h.Scope == g.Scope:
			return pki.Errorf(pki.Conflict, "%s has the role %s on %s already", g.Principal, g.Role, g.Scope)
		}
	}
	return nil
}

// Take takes a grant away: it holds here at once, on other nodes within five seconds,
// streams under way included. It needs ManageAccess on a scope that covers it.
func (o *Office) Take(ctx context.Context, p Permit, id string) error {
	if err := p.CheckSome(ManageAccess); err != nil {
		return err
	}
	all, err := o.cfg.Store.Grants(ctx, p.tenant, "", "")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(g Grant) bool { return g.ID == id })
	if i < 0 {
		return pki.Errorf(pki.NotFound, "no grant %.60q", id)
	}
	if err := p.CheckAt(ManageAccess, all[i].Scope); err != nil {
		return err
	}
	if certified(all[i].Principal) {
		if err := o.cfg.Gate.PassTaking(ctx, p, all[i]); err != nil {
			return err
		}
	}
	defer o.cfg.Changed()
	return o.cfg.Store.DeleteGrant(ctx, p.tenant, id, o.event(p, "grant.remove", all[i].Principal, GrantsText(all[i:i+1])))
}

// Grants returns grants of the permit's tenant, of a principal and a role where they
// are named. It needs ReadAccess.
func (o *Office) Grants(ctx context.Context, p Permit, principal string, role Role) ([]Grant, error) {
	if err := p.Check(ReadAccess); err != nil {
		return nil, err
	}
	return o.cfg.Store.Grants(ctx, p.tenant, principal, role)
}

func (o *Office) event(p Permit, action, target, detail string) pki.Event {
	return pki.Event{Tenant: p.tenant, At: o.cfg.Now().UTC(), Actor: p.Actor(), Action: action, Target: target, Detail: detail, Change: p.change.ID}
}
