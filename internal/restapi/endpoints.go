package restapi

import (
	"context"
	"strings"

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

func (s *server) listEndpoints(ctx context.Context, g access.Grant, _ *nothing) (*listOf[client.Endpoint], error) {
	endpoints, err := s.cfg.Enroll.Endpoints(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(endpoints, "", wireEndpoint), nil
}

func (s *server) getEndpoint(ctx context.Context, g access.Grant, in *endpointInput) (*answer[client.Endpoint], error) {
	return endpointAnswer(s.cfg.Enroll.Endpoint(ctx, g, in.Endpoint))
}

func (s *server) createEndpoint(ctx context.Context, g access.Grant, in *newEndpointInput) (*answer[client.Endpoint], error) {
	n := in.Body
	return endpointAnswer(s.cfg.Enroll.CreateEndpoint(ctx, g, enroll.NewEndpoint{
		Name: n.Name, Authority: n.Authority, Profile: n.Profile, Version: n.Version,
		Protocols: protocols(n.Protocols), Names: (*pki.Names)(n.Names),
	}))
}

func (s *server) changeEndpoint(ctx context.Context, g access.Grant, in *endpointChangeInput) (*answer[client.Endpoint], error) {
	ch := in.Body
	return endpointAnswer(s.cfg.Enroll.UpdateEndpoint(ctx, g, enroll.NewEndpoint{
		Name: endpointName(g, in.Endpoint), Profile: ch.Profile, Version: ch.Version,
		Protocols: protocols(ch.Protocols), Names: (*pki.Names)(ch.Names),
	}))
}

// endpointName returns the name in a label of the grant's tenant. A name has no
// dot, so that another tenant's label names no endpoint.
func endpointName(g access.Grant, nameOrLabel string) string {
	return strings.TrimPrefix(nameOrLabel, string(g.Tenant())+".")
}

// protocols keeps a list that is absent apart from an empty one.
func protocols(names []string) []pki.Protocol {
	if names == nil {
		return nil
	}
	out := make([]pki.Protocol, 0, len(names))
	for _, name := range names {
		out = append(out, pki.Protocol(name))
	}
	return out
}

func endpointAnswer(e *pki.Endpoint, err error) (*answer[client.Endpoint], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Endpoint]{wireEndpoint(e)}, nil
}

func wireEndpoint(e *pki.Endpoint) client.Endpoint {
	w := client.Endpoint{Label: e.Label(), Name: e.Name, Authority: string(e.Authority),
		Profile: wireProfileRef(e.Profile), Names: client.Names(e.Names), Created: e.Created}
	for _, p := range e.Protocols {
		w.Protocols = append(w.Protocols, string(p))
	}
	return w
}
