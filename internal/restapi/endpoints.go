package restapi

import (
	"context"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

type endpointInput struct {
	Caller
	Endpoint string `path:"endpoint" doc:"Name or label."`
}

type newEndpointInput struct {
	Caller
	Body client.NewEndpoint
}

type endpointChangeInput struct {
	Caller
	Endpoint string `path:"endpoint" doc:"Name or label."`
	Body     client.EndpointChange
}

func (s *server) listEndpoints(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Endpoint], error) {
	endpoints, err := s.cfg.Enroll.Endpoints(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(endpoints, "", wireEndpoint), nil
}

func (s *server) getEndpoint(ctx context.Context, g access.Permit, in *endpointInput) (*answer[client.Endpoint], error) {
	return endpointAnswer(s.cfg.Enroll.Endpoint(ctx, g, in.Endpoint))
}

func (s *server) createEndpoint(ctx context.Context, g access.Permit, in *newEndpointInput) (*answer[client.Endpoint], error) {
	n := in.Body
	auth, err := readAuth(n.Auth)
	if err != nil {
		return nil, err
	}
	return endpointAnswer(s.cfg.Enroll.CreateEndpoint(ctx, g, enroll.NewEndpoint{
		Name: n.Name, Loan: n.Loan, Authority: n.Authority, Profile: n.Profile, Version: n.Version,
		Protocols: slugs[pki.Protocol](n.Protocols), Names: (*pki.Names)(n.Names), Auth: auth, Networks: n.Networks, Validator: &n.Validator, Approvals: readApprovals(n.Approvals), Quota: n.Quota,
	}))
}

func (s *server) changeEndpoint(ctx context.Context, g access.Permit, in *endpointChangeInput) (*answer[client.Endpoint], error) {
	ch := in.Body
	auth, err := readAuth(ch.Auth)
	if err != nil {
		return nil, err
	}
	return endpointAnswer(s.cfg.Enroll.UpdateEndpoint(ctx, g, enroll.NewEndpoint{
		Name: endpointName(g, in.Endpoint), Profile: ch.Profile, Version: ch.Version,
		Protocols: slugs[pki.Protocol](ch.Protocols), Names: (*pki.Names)(ch.Names), Auth: auth, Networks: ch.Networks, Validator: ch.Validator, Approvals: readApprovals(ch.Approvals), Quota: ch.Quota,
	}))
}

// readAuth reads alternatives of proofs. It keeps a list that is absent apart from an
// empty one.
func readAuth(texts []string) ([]pki.Proofs, error) {
	if texts == nil {
		return nil, nil
	}
	all := make([]pki.Proofs, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = pki.ParseProofs(text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readApprovals keeps what is absent apart from what is empty.
func readApprovals(a *client.Approvals) *pki.Approvals {
	if a == nil {
		return nil
	}
	out := &pki.Approvals{Life: time.Duration(a.LifeSeconds) * time.Second}
	for _, s := range a.Steps {
		out.Steps = append(out.Steps, pki.ApprovalStep(s))
	}
	return out
}

func wireApprovals(a *pki.Approvals) *client.Approvals {
	if a == nil {
		return nil
	}
	out := &client.Approvals{LifeSeconds: int64(a.Life / time.Second)}
	for _, s := range a.Steps {
		out.Steps = append(out.Steps, client.ApprovalStep(s))
	}
	return out
}

// endpointName returns the name in a label of the permit's tenant. A name has no
// dot, so that another tenant's label names no endpoint.
func endpointName(g access.Permit, nameOrLabel string) string {
	return strings.TrimPrefix(nameOrLabel, string(g.Tenant())+".")
}

func endpointAnswer(e *pki.Endpoint, err error) (*answer[client.Endpoint], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Endpoint]{wireEndpoint(e)}, nil
}

func wireEndpoint(e *pki.Endpoint) client.Endpoint {
	var auth []string
	for _, p := range e.Auth {
		auth = append(auth, p.String())
	}
	return client.Endpoint{Label: e.Label(), Name: e.Name, Authority: string(e.Authority),
		Profile: wireProfileRef(e.Profile), Protocols: slugs[string](e.Protocols), Names: client.Names(e.Names), Auth: auth, Networks: e.Networks, Validator: e.Validator, Approvals: wireApprovals(e.Approvals), Quota: e.Quota, Created: e.Created}
}
