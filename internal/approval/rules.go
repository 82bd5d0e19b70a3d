package approval

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Rules returns the rule of each kind for the permit's tenant. It needs
// access.ReadApprovals.
func (s *Service) Rules(ctx context.Context, g access.Permit) ([]Rule, error) {
	if err := g.Check(access.ReadApprovals); err != nil {
		return nil, err
	}
	return s.rules(ctx, g.Tenant())
}

func (s *Service) rules(ctx context.Context, tenant pki.TenantID) ([]Rule, error) {
	set, defaults, err := s.cfg.Store.ApprovalRules(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return effective(set, defaults), nil
}

// effective returns the rule of each kind for a tenant that set some.
func effective(set []Rule, defaults bool) []Rule {
	rules := Defaults()
	for i := range rules {
		at := slices.IndexFunc(set, func(r Rule) bool { return r.Kind == rules[i].Kind })
		switch {
		case at >= 0:
			rules[i] = set[at]
		case !defaults:
			rules[i].Steps = nil
		}
		if as := slices.IndexFunc(set, func(r Rule) bool { return r.Kind == follows(rules[i].Kind) }); at < 0 && as >= 0 && len(rules[i].Steps) == 0 {
			rules[i].Steps, rules[i].Life = set[as].Steps, set[as].Life
		}
	}
	return rules
}

// follows returns the kind whose rule an act follows where the tenant has none about it
// and else nobody would be asked; "" is none. What puts a new key in an authority's place
// is as making one, and to trust in more places as to trust at all: else one person could
// do what several must.
func follows(kind Kind) Kind {
	switch kind {
	case RollAuthority, SwitchAuthority:
		return CreateAuthority
	case UpdateTrust:
		return AddTrust
	}
	return ""
}

func (s *Service) rule(ctx context.Context, tenant pki.TenantID, kind Kind) (Rule, error) {
	rules, err := s.rules(ctx, tenant)
	if err != nil {
		return Rule{}, err
	}
	r := about(rules, kind)
	if r == nil { // an act that no rule could be about must not pass for that
		return Rule{}, fmt.Errorf("the kind %q is none that a rule is about", kind)
	}
	return *r, nil
}

// about returns the rule about a kind, nil for none.
func about(rules []Rule, kind Kind) *Rule {
	at := slices.IndexFunc(rules, func(r Rule) bool { return r.Kind == kind })
	if at < 0 {
		return nil
	}
	return &rules[at]
}

// ruleOf returns the tenant's rule about a request.
func (s *Service) ruleOf(ctx context.Context, tenant pki.TenantID, r *Request) (*Rule, error) {
	if r.Kind == UpdateTrust {
		return s.trustRule(ctx, tenant, r.Takes)
	}
	rule, err := s.rule(ctx, tenant, r.Kind)
	return &rule, err
}

// trustRule returns what an act needs that changes what is trusted; takes says that it
// takes something away, which must not go round the rule for doing so.
func (s *Service) trustRule(ctx context.Context, tenant pki.TenantID, takes bool) (*Rule, error) {
	rule, err := s.rule(ctx, tenant, UpdateTrust)
	if err == nil && takes {
		var removal Rule
		removal, err = s.rule(ctx, tenant, RemoveTrust)
		rule = rule.Both(removal)
	}
	return &rule, err
}

// Share returns how many of 10,000 certificates in force a revocation job of a tenant
// may change with nobody else; false where it may change all.
func (s *Service) Share(ctx context.Context, tenant pki.TenantID) (share int, ruled bool, err error) {
	r, err := s.rule(ctx, tenant, RunRevocation)
	return r.Share, len(r.Steps) > 0, err
}

// ruleChange is what a change of kind LoosenRule asks for: the rule as it is, and as
// it is to be.
type ruleChange struct {
	Kind   Kind     `json:"kind"`
	Before ruleText `json:"before"`
	After  ruleText `json:"after"`
}

type ruleText struct {
	Steps       []Step `json:"steps"`
	LifeSeconds int64  `json:"life_seconds"`
	Share       int    `json:"share,omitzero"`
}

func textOf(r Rule) ruleText { return ruleText{r.Steps, int64(r.Life / time.Second), r.Share} }

// SetRule says what acts of a kind need from now on; what waits goes on under the rule
// that it was asked for under. To loosen a rule is itself a change, under that rule. It
// needs access.ManageApprovals.
func (s *Service) SetRule(ctx context.Context, g access.Permit, r Rule) (*Rule, error) {
	if err := g.Check(access.ManageApprovals); err != nil {
		return nil, err
	}
	own, err := s.ownRoles(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	if err := r.check(own); err != nil {
		return nil, err
	}
	set, defaults, err := s.cfg.Store.ApprovalRules(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	before := *about(effective(set, defaults), r.Kind)
	if err := s.followable(ctx, g, r, before); err != nil {
		return nil, err
	}
	if r.Looser(before) {
		err := s.Pass(ctx, g, Request{
			Kind: LoosenRule, Target: "rule:" + string(r.Kind), Summary: fmt.Sprintf("%s: before %s, after %s", r.Kind, before, r),
			Payload: ruleChange{r.Kind, textOf(before), textOf(r)}, Rule: &before,
		})
		if err != nil {
			return nil, err
		}
	}
	if r.Equal(before) {
		return &r, nil
	}
	e := pki.Event{Tenant: g.Tenant(), At: s.now(), Actor: g.Actor(), Action: "approval.rule", Target: "rule:" + string(r.Kind),
		Detail: fmt.Sprintf("before %s, after %s", before, r), Change: g.Change().ID}
	return &r, s.cfg.Store.SetApprovalRule(ctx, g.Tenant(), r, set, e)
}

// followable refuses new steps that those who hold tokens now could not make for what
// the permit's principal asks for: such a rule would forbid the act, and its own
// loosening.
func (s *Service) followable(ctx context.Context, g access.Permit, r, before Rule) error {
	if slices.Equal(r.Steps, before.Steps) {
		return nil
	}
	could, err := s.able(ctx, g.Tenant(), access.Scope{}, r.Steps, func(who access.Principal) (bool, error) { return who.ID != g.Principal().ID, nil })
	if err == nil && !could {
		err = pki.Errorf(pki.Conflict, "nobody could follow this rule: %s is more than there are besides you, with tokens that hold and %s on the whole tenant; appoint them first ('pando grant add')", stepsText(r.Steps), access.DecideApprovals)
	}
	return err
}

// loosen executes a change of kind LoosenRule.
func (s *Service) loosen(ctx context.Context, g access.Permit, ch ruleChange) error {
	_, err := s.SetRule(ctx, g, Rule{Kind: ch.Kind, Steps: ch.After.Steps, Life: time.Duration(ch.After.LifeSeconds) * time.Second, Share: ch.After.Share})
	return err
}

// CheckSteps refuses steps that nobody in a tenant could follow.
func (s *Service) CheckSteps(ctx context.Context, tenant pki.TenantID, steps []Step) error {
	own, err := s.ownRoles(ctx, tenant)
	if err != nil {
		return err
	}
	return CheckSteps(steps, own)
}

// ownRoles returns the tenant's own roles, never nil.
func (s *Service) ownRoles(ctx context.Context, tenant pki.TenantID) ([]*access.OwnRole, error) {
	own, err := s.cfg.Store.Roles(ctx, tenant)
	if own == nil {
		own = []*access.OwnRole{}
	}
	return own, err
}
