package approval

import (
	"context"
	"errors"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// able reports whether those who hold tokens of a tenant now could make all approvals of
// some steps, each of them one, where may is nil or says that they may.
func (s *Service) able(ctx context.Context, tenant pki.TenantID, place access.Scope, steps []Step, may func(access.Principal) (bool, error)) (bool, error) {
	active, err := s.cfg.Principals.Active(ctx, tenant)
	if err != nil {
		return false, err
	}
	var wanted []access.Role
	for _, step := range steps {
		for range step.N {
			wanted = append(wanted, step.Role)
		}
	}
	can := make([][]int, len(wanted)) // of each approval, who could make it
	for i, who := range active {
		g, err := who.Authorize(access.DecideApprovals, tenant)
		if err != nil || !g.Covers(place) {
			continue
		}
		if ok, err := may(who); err != nil || !ok {
			if err != nil {
				return false, err
			}
			continue
		}
		for w, role := range wanted {
			if who.Holds(role, place, who.ID) {
				can[w] = append(can[w], i)
			}
		}
	}
	makes := make(map[int]int) // who makes which approval
	var settle func(w int, seen map[int]bool) bool
	settle = func(w int, seen map[int]bool) bool {
		for _, i := range can[w] {
			if seen[i] {
				continue
			}
			seen[i] = true
			if other, taken := makes[i]; !taken || settle(other, seen) {
				makes[i] = w
				return true
			}
		}
		return false
	}
	for w := range wanted {
		if !settle(w, make(map[int]bool)) {
			return false, nil
		}
	}
	return true, nil
}

// approvable reports whether anybody could approve now what a principal asks for.
func (s *Service) approvable(ctx context.Context, g access.Permit, place access.Scope, steps []Step) (bool, error) {
	asks := g.Principal()
	return s.able(ctx, g.Tenant(), place, steps, func(who access.Principal) (bool, error) {
		if who.ID == asks.ID {
			return false, nil
		}
		err := s.unrelated(ctx, place, partyOf(asks), partyOf(who))
		if _, refused := errors.AsType[*pki.Error](err); refused && pki.KindOf(err) == pki.Forbidden {
			return false, nil
		}
		return err == nil, err
	})
}
