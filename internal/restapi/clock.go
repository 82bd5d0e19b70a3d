package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/issuance"
)

func (s *server) getClock(ctx context.Context, g access.Permit, _ *nothing) (*answer[client.Clock], error) {
	return wireClock(s.cfg.Clock.Clock(ctx, g))
}

func (s *server) acceptClock(ctx context.Context, g access.Permit, _ *nothing) (*answer[client.Clock], error) {
	return wireClock(s.cfg.Clock.AcceptClock(ctx, g))
}

func wireClock(c *issuance.Clock, err error) (*answer[client.Clock], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Clock]{client.Clock{Node: c.Node, Now: c.Now, Expected: c.Expected, Stored: c.Stored, Problem: c.Problem}}, nil
}
