package approval

import (
	"context"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// grantChange is what a change of kind GiveDecider asks for.
type grantChange struct {
	Principal string      `json:"principal"`
	Role      access.Role `json:"role"`
	Scope     string      `json:"scope"`

	// Permissions is what an own role includes that a trusted authority is to have: one
	// that includes something else when it is given is not what was approved.
	Permissions []access.Permission `json:"permissions,omitempty"`

	// Holder is the id of the trusted authority: another one that has its name when the role
	// is given does not get it.
	Holder string `json:"holder,omitempty"`
}

// roleChange is what a change of kind WidenRole asks for.
type roleChange struct {
	Name        access.Role         `json:"name"`
	Description string              `json:"description"`
	Before      []access.Permission `json:"before"`
	Permissions []access.Permission `json:"permissions"`
}

// GivesAlone implements access.Gate: where no rule is about it, for an operator of the
// deployment, who appoints a tenant's administrators and nobody else, and where nobody
// could approve it yet.
func (s *Service) GivesAlone(ctx context.Context, g access.Permit, place access.Scope) (bool, error) {
	return s.givesAlone(ctx, g, GiveDecider, place)
}

func (s *Service) givesAlone(ctx context.Context, g access.Permit, kind Kind, place access.Scope) (bool, error) {
	if g.Principal().Tenant == pki.Platform {
		return true, nil
	}
	rule, err := s.rule(ctx, g.Tenant(), kind)
	if err != nil || len(rule.Steps) == 0 {
		return err == nil, err
	}
	could, err := s.approvable(ctx, g, place, rule.Steps)
	return !could, err
}

// takeChange is what a change of kind TakeTrusted asks for.
type takeChange struct {
	ID        string      `json:"id"`
	Principal string      `json:"principal"`
	Role      access.Role `json:"role"`
	Scope     string      `json:"scope"`
}

// PassTrusted implements access.Gate.
func (s *Service) PassTrusted(ctx context.Context, g access.Permit, given access.Grant) error {
	rule, err := s.trustRule(ctx, g.Tenant(), false)
	if err != nil {
		return err
	}
	return s.Pass(ctx, g, Request{
		Kind: GiveDecider, Target: given.Principal, Place: given.Scope, Rule: rule,
		Payload: grantChange{given.Principal, given.Role, given.Scope.String(), given.Own, given.Holder},
		Summary: fmt.Sprintf("whoever is certified by %s becomes %s on %s", given.Principal, given.Role, given.Scope),
	})
}

// PassTrustedRole implements access.Gate.
func (s *Service) PassTrustedRole(ctx context.Context, g access.Permit, r *access.OwnRole, was []access.Permission, holders []string) error {
	rule, err := s.trustRule(ctx, g.Tenant(), len(access.Lacking(was, r.Permissions)) > 0)
	if err != nil {
		return err
	}
	const named = 3
	who := strings.Join(holders[:min(len(holders), named)], ", ")
	if more := len(holders) - named; more > 0 {
		who += fmt.Sprintf(" and %d more", more)
	}
	return s.Pass(ctx, g, Request{
		Kind: WidenRole, Target: "role:" + string(r.Name), Payload: roleChange{r.Name, r.Description, was, r.Permissions}, Rule: rule,
		Summary: fmt.Sprintf("whoever has the role %s, as all who are certified by %s: before %v, after %v", r.Name, who, was, r.Permissions),
	})
}

// PassTaking implements access.Gate.
func (s *Service) PassTaking(ctx context.Context, g access.Permit, taken access.Grant) error {
	rule, err := s.trustRule(ctx, g.Tenant(), true)
	if err != nil {
		return err
	}
	return s.Pass(ctx, g, Request{
		Kind: TakeTrusted, Target: taken.Principal, Place: taken.Scope, Payload: takeChange{taken.ID, taken.Principal, taken.Role, taken.Scope.String()}, Rule: rule,
		Summary: fmt.Sprintf("whoever is certified by %s is %s on %s no more", taken.Principal, taken.Role, taken.Scope),
	})
}

// PassGrant implements access.Gate.
func (s *Service) PassGrant(ctx context.Context, g access.Permit, principal string, role access.Role, scope access.Scope) error {
	return s.passGiving(ctx, g, Request{
		Kind: GiveDecider, Target: principal, Place: scope, Payload: grantChange{Principal: principal, Role: role, Scope: scope.String()},
		Summary: fmt.Sprintf("%s becomes %s on %s, and decides on approvals with it", principal, role, scope),
	})
}

// PassRole implements access.Gate.
func (s *Service) PassRole(ctx context.Context, g access.Permit, r *access.OwnRole, was []access.Permission) error {
	return s.passGiving(ctx, g, Request{
		Kind: WidenRole, Target: "role:" + string(r.Name), Payload: roleChange{r.Name, r.Description, was, r.Permissions},
		Summary: fmt.Sprintf("whoever has the role %s decides on approvals with it: before %v, after %v", r.Name, was, r.Permissions),
	})
}

func (s *Service) passGiving(ctx context.Context, g access.Permit, r Request) error {
	if g.Change().ID == "" {
		if alone, err := s.givesAlone(ctx, g, r.Kind, r.Place); err != nil || alone {
			return err
		}
	}
	return s.Pass(ctx, g, r)
}

// Giving returns what does the acts of an office that were approved.
func Giving(o *access.Office) map[Kind]Executor {
	return map[Kind]Executor{
		GiveDecider: Execute(access.ManageAccess, func(ctx context.Context, g access.Permit, ch grantChange) error {
			scope, err := access.ParseScope(ch.Scope)
			if err != nil {
				return err
			}
			_, err = o.Give(ctx, g, ch.Principal, ch.Role, scope)
			return err
		}),
		TakeTrusted: Execute(access.ManageAccess, func(ctx context.Context, g access.Permit, ch takeChange) error {
			return o.Take(ctx, g, ch.ID)
		}),
		WidenRole: Execute(access.ManageAccess, func(ctx context.Context, g access.Permit, ch roleChange) error {
			_, err := o.ChangeRole(ctx, g, access.OwnRole{Name: ch.Name, Description: ch.Description, Permissions: ch.Permissions})
			return err
		}),
	}
}
