package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Grant gives a principal a role on a scope.
type Grant struct {
	ID        string
	Tenant    pki.TenantID
	Principal string // "token:ID", or "trust:NAME" for all whom a trusted authority certifies
	Role      Role
	Scope     Scope
	Actor     string // who gave it
	Created   time.Time

	// Own are the permissions of a role of the tenant's own, as they were when the
	// grant was read, or of a new one when the role was; nil with a role that is built in.
	// A new grant is stored only while the role includes exactly them: whether it may be
	// given, and who must approve it, was decided on those.
	Own []Permission

	// Holder is the id of the trusted authority that Principal names, of a grant that is
	// given to one; else "". The grant is stored only while the name is still that one's.
	Holder string
}

// Given returns grants of a built-in role on some scopes, none of them being the whole
// tenant, that are kept nowhere.
func Given(role Role, scopes ...Scope) []Grant {
	if len(scopes) == 0 {
		scopes = []Scope{{}}
	}
	var all []Grant
	for _, s := range scopes {
		all = append(all, Grant{Role: role, Scope: s})
	}
	return all
}

// Permissions returns what the grant's role includes.
func (g *Grant) Permissions() []Permission {
	if builtIn, ok := permissions[g.Role]; ok {
		return builtIn
	}
	return g.Own
}

// includes reports whether the grant's role includes a permission.
func (g *Grant) includes(p Permission) bool { return slices.Contains(g.Permissions(), p) }

// GrantsText returns grants for people, as "auditor, factory-operator on site:berlin".
func GrantsText(all []Grant) string {
	var texts []string
	for _, g := range all {
		text := string(g.Role)
		if g.Scope != (Scope{}) {
			text += " on " + g.Scope.String()
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// MaxGrants is the largest number of grants of one principal.
const MaxGrants = 100

// newGrants makes the grants of a role on scopes that somebody gives to a new
// principal.
func newGrants(tenant pki.TenantID, principal string, role Role, own []Permission, scopes []Scope, actor string, at time.Time) []Grant {
	var all []Grant
	for _, s := range scopes {
		all = append(all, Grant{ID: pki.NewID(at), Tenant: tenant, Principal: principal, Role: role, Scope: s, Actor: actor, Created: at, Own: own})
	}
	return all
}

// checkGrantable refuses what nobody can be given: a role outside of where it belongs,
// and lists of scopes that say nothing, or one thing twice.
func checkGrantable(tenant pki.TenantID, role Role, scopes []Scope) error {
	switch {
	case role == PlatformOperator && tenant != pki.Platform:
		return pki.Errorf(pki.Malformed, "a %s belongs to the platform, not to a tenant", role)
	case role != PlatformOperator && tenant == pki.Platform:
		return pki.Errorf(pki.Malformed, "a %s belongs to a tenant", role)
	case len(scopes) == 0:
		return pki.Errorf(pki.Malformed, "the list of scopes is empty: leave it out for the whole tenant, or name scopes")
	case len(scopes) > MaxGrants:
		return pki.Errorf(pki.Malformed, "%d scopes at most", MaxGrants)
	}
	for i, s := range scopes {
		if s != (Scope{}) && tenant == pki.Platform {
			return pki.Errorf(pki.Malformed, "on the platform there is no scope but all of it")
		}
		if slices.Contains(scopes[:i], s) {
			return pki.Errorf(pki.Malformed, "the scope %s stands twice", s)
		}
	}
	return nil
}

// checkScopes refuses a scope that names what is not there: a misspelt name would bind
// a grant to whatever gets that name later.
func checkScopes(ctx context.Context, store ScopeStore, tenant pki.TenantID, scopes []Scope) error {
	for _, s := range scopes {
		if s == (Scope{}) {
			continue
		}
		missing, err := store.Missing(ctx, tenant, s)
		if err != nil {
			return err
		}
		if missing != "" {
			return pki.Errorf(pki.Malformed, "scope %s: the tenant has no %s; make it first, or correct its name", s, missing)
		}
	}
	return nil
}

// NewGrants checks a role on scopes that the permit's principal gives to a principal,
// and makes the grants. The permit is of the permission to give. It is for those who
// make principals: who gives, gives no more than they have.
func NewGrants(ctx context.Context, p Permit, store ScopeStore, principal string, role Role, scopes []Scope, at time.Time) ([]Grant, error) {
	if err := checkGrantable(p.tenant, role, scopes); err != nil {
		return nil, err
	}
	gives, builtIn := permissions[role]
	var own []Permission
	if !builtIn {
		r, err := ownRole(ctx, store, p.tenant, role)
		if pki.KindOf(err) == pki.NotFound {
			err = pki.Errorf(pki.Malformed, "the tenant has no role %.40q of its own, and it is none of those built in, %v", string(role), Roles())
		}
		if err != nil {
			return nil, err
		}
		gives, own = r.Permissions, r.Permissions
	}
	if certified(principal) {
		if err := forCertificates(gives); err != nil {
			return nil, err
		}
	} else if role == Device {
		return nil, pki.Errorf(pki.Malformed, "the role %s is for client certificates", role)
	}
	if role == Enroller {
		return nil, pki.Errorf(pki.Malformed, "the role %s is that of enrolment secrets: make one with 'pando secret create'", role)
	}
	if err := p.checkGive(role, gives, scopes); err != nil {
		return nil, err
	}
	if err := checkScopes(ctx, store, p.tenant, scopes); err != nil {
		return nil, err
	}
	return newGrants(p.tenant, principal, role, own, scopes, p.Actor(), at), nil
}

// certified reports whether a principal is whoever a trusted authority certifies.
func certified(principal string) bool { return strings.HasPrefix(principal, "trust:") }
