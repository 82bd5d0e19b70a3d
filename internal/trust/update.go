package trust

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Update has an anchor of the permit's tenant give its role on other scopes, which take
// the place of all that were there: here at once, on other nodes within two seconds. It
// needs access.ManageTrust on the scopes that are new and on those that go. An anchor with
// several roles is Conflict: which of them is meant is not known.
func (s *Service) Update(ctx context.Context, g access.Permit, name string, scopes []access.Scope) (*Anchor, error) {
	if err := g.CheckSome(access.ManageTrust); err != nil {
		return nil, err
	}
	a, err := s.find(ctx, g.Tenant(), name)
	if err != nil {
		return nil, err
	}
	before := a.Grants
	if len(before) == 0 || slices.ContainsFunc(before, func(h access.Grant) bool { return h.Role != before[0].Role }) {
		return nil, pki.Errorf(pki.Conflict, "%q has not one role alone, whose scopes could be changed: give and take its grants one by one ('pando grant list --principal %s')", a.Name, a.Principal())
	}
	role := before[0].Role
	if err := checkScopes(role, scopes); err != nil {
		return nil, err
	}
	all, err := access.NewGrants(ctx, g, s.cfg.Store, a.Principal(), role, scopes, s.cfg.Now().UTC())
	if err != nil {
		return nil, err
	}
	taken := lacking(before, all)
	for _, t := range taken {
		if err := g.CheckAt(access.ManageTrust, t.Scope); err != nil {
			return nil, err
		}
	}
	given := lacking(all, before)
	if len(taken)+len(given) == 0 && g.Change().ID == "" { // what was approved is done, or fails
		return a, nil
	}
	a.Grants = slices.Concat(lacking(before, taken), given)
	if err := s.passUpdate(ctx, g, a, before, scopes, len(taken) > 0); err != nil {
		return nil, err
	}
	defer s.Forget() // also after an error, which may mean that the outcome is unknown
	detail := fmt.Sprintf("before %s, after %s", access.GrantsText(before), access.GrantsText(a.Grants))
	return a, s.cfg.Store.ChangeAnchor(ctx, a, before, s.event(g, "trust.update", name, detail))
}

// lacking returns the grants whose scopes others do not have.
func lacking(all, others []access.Grant) []access.Grant {
	return slices.DeleteFunc(slices.Clone(all), func(g access.Grant) bool {
		return slices.ContainsFunc(others, func(o access.Grant) bool { return o.Scope == g.Scope })
	})
}
