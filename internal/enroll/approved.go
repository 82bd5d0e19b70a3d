package enroll

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
)

// A Gate has acts wait for approval that the tenant has a rule about, and enrolments
// whose profile or endpoint wants it; approval.Service is one.
type Gate interface {
	Pass(ctx context.Context, g access.Permit, r approval.Request) error
	// Ask lets an enrolment go on, is an error of kind pki.Pending while it waits, and
	// returns the change of the same request where that came to its end.
	Ask(ctx context.Context, g access.Permit, r approval.Request) (ended *approval.Change, err error)
	// CheckSteps refuses steps that nobody in a tenant could follow.
	CheckSteps(ctx context.Context, tenant pki.TenantID, steps []approval.Step) error
}

// endpointChange is what a change of kind approval.CreateEndpoint or
// approval.UpdateEndpoint asks for: an endpoint as it is to be, all said.
type endpointChange struct {
	Name      string            `json:"name"`
	Loan      string            `json:"loan,omitempty"`
	Authority pki.AuthorityID   `json:"authority"`
	Before    *endpointSettings `json:"before,omitempty"` // of one that is there
	After     endpointSettings  `json:"after"`
	Quota     *int64            `json:"quota,omitzero"` // that is set with it
}

type endpointSettings struct {
	Profile   string         `json:"profile"`
	Version   int            `json:"version"`
	Protocols []pki.Protocol `json:"protocols"`
	Names     pki.Names      `json:"names"`
	Auth      []pki.Proofs   `json:"auth,omitempty"`
	Networks  []string       `json:"networks,omitempty"`
	Validator string         `json:"validator,omitempty"`
	Approvals *approvalsText `json:"approvals,omitzero"`
}

func settingsOf(ep *pki.Endpoint) endpointSettings {
	return endpointSettings{ep.Profile.Name, ep.Profile.Version, ep.Protocols, ep.Names, ep.Auth, ep.Networks, ep.Validator, textOf(ep.Approvals)}
}

// says tells for people how an endpoint is set.
func says(ep *pki.Endpoint) string {
	text := fmt.Sprintf("profile %s version %d, protocols %v", ep.Profile.Name, ep.Profile.Version, ep.Protocols)
	if len(ep.Auth) > 0 {
		text += ", proof by " + pki.ProofsText(ep.Auth)
	}
	if len(ep.Networks) > 0 {
		text += fmt.Sprintf(", from %v", ep.Networks)
	}
	if ep.Validator != "" {
		text += ", challenges by the validator " + ep.Validator
	}
	if rule := ruleOf(ep.Approvals); rule != nil {
		text += ", approved by " + rule.String()
	}
	if ep.Quota != nil {
		text += ", for " + pki.Count(*ep.Quota, "certificate") + " at most"
	}
	return text
}

// pass has an endpoint wait that was there as before, or was not.
func (s *Service) pass(ctx context.Context, g access.Permit, kind approval.Kind, loan string, before, ep *pki.Endpoint) error {
	authority, err := s.cfg.Store.AuthorityName(ctx, g.Tenant(), ep.Authority)
	if err != nil {
		return err
	}
	ch := endpointChange{Name: ep.Name, Loan: loan, Authority: ep.Authority, After: settingsOf(ep)}
	if before != nil {
		was := settingsOf(before)
		ch.Before = &was
	}
	if ep.Quota != nil && (before == nil || before.Quota == nil || *before.Quota != *ep.Quota) {
		ch.Quota = ep.Quota
	}
	return s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: kind, Target: "endpoint:" + ep.Name, Place: access.Scope{Endpoint: ep.Name, Authority: authority}, Payload: ch,
		Summary: fmt.Sprintf("%s, names %v", says(ep), ep.Names),
	})
}

// asks returns what is asked for: of an endpoint that is there what is another than before,
// since what is said is checked, and a retired authority must not keep one from being
// switched off.
func (ch *endpointChange) asks() NewEndpoint {
	n := NewEndpoint{Name: ch.Name, Loan: ch.Loan, Quota: ch.Quota}
	was, after := ch.Before, ch.After
	if was == nil {
		was = new(endpointSettings)
		n.Protocols = []pki.Protocol{} // none is said, too: it is no default
		if ch.Loan == "" {
			n.Authority = string(ch.Authority)
		}
	}
	if was.Profile != after.Profile || was.Version != after.Version {
		n.Version = after.Version
		if ch.Loan == "" {
			n.Profile = after.Profile
		}
	}
	if !slices.Equal(was.Protocols, after.Protocols) {
		n.Protocols = append([]pki.Protocol{}, after.Protocols...)
	}
	if !sameNames(was.Names, after.Names) {
		n.Names = &after.Names
	}
	if !slices.Equal(was.Auth, after.Auth) {
		n.Auth = append([]pki.Proofs{}, after.Auth...)
	}
	if !slices.Equal(was.Networks, after.Networks) {
		n.Networks = append([]string{}, after.Networks...)
	}
	if was.Validator != after.Validator {
		n.Validator = &after.Validator
	}
	if approvals := after.Approvals.read(); !sameApprovals(was.Approvals.read(), approvals) {
		n.Approvals = approvals
	}
	return n
}

// Executors returns what does the acts of this service that were approved.
func (s *Service) Executors() map[approval.Kind]approval.Executor {
	endpoint := func(act func(context.Context, access.Permit, NewEndpoint) (*pki.Endpoint, error)) approval.Executor {
		return approval.Execute(access.ManageEndpoints, func(ctx context.Context, g access.Permit, ch endpointChange) error {
			_, err := act(ctx, g, ch.asks())
			return err
		})
	}
	return map[approval.Kind]approval.Executor{
		approval.CreateEndpoint: endpoint(s.CreateEndpoint),
		approval.UpdateEndpoint: endpoint(s.UpdateEndpoint),
		approval.Enroll:         approval.Execute(access.Enroll, s.approved),
	}
}
