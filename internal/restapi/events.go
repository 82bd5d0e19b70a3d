package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

type eventsInput struct {
	Caller
	Target string `query:"target" maxLength:"512" doc:"Only acts on this." example:"batch:0d3k2"`
	Actor  string `query:"actor" maxLength:"512" doc:"Only what this one did, with or without the name in brackets." example:"token:0d3k2"`
	Action string `query:"action" maxLength:"64" doc:"Only this act, or all whose name begins with it and a dot." example:"batch"`
	NewestFirst
}

func (s *server) listEvents(ctx context.Context, g access.Permit, in *eventsInput) (*listOf[client.Event], error) {
	events, next, err := s.cfg.Hierarchy.Events(ctx, g, hierarchy.EventFilter{Target: in.Target, Actor: in.Actor, Action: in.Action}, in.Before, in.Limit)
	if err != nil {
		return nil, err
	}
	return each(events, next, wireEvent), nil
}

func wireEvent(e pki.Event) client.Event {
	return client.Event{ID: e.ID, At: e.At, Actor: e.Actor, Action: e.Action, Target: e.Target, Detail: e.Detail}
}
