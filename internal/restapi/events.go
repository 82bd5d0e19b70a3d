package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

type eventsInput struct {
	Caller
	Before string `query:"before" maxLength:"64" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

func (s *server) listEvents(ctx context.Context, g access.Permit, in *eventsInput) (*listOf[client.Event], error) {
	events, err := s.cfg.Hierarchy.Events(ctx, g, in.Before, in.Limit)
	if err != nil {
		return nil, err
	}
	next := ""
	if len(events) == in.Limit {
		next = events[len(events)-1].ID
	}
	return each(events, next, wireEvent), nil
}

func wireEvent(e pki.Event) client.Event {
	return client.Event{ID: e.ID, At: e.At, Actor: e.Actor, Action: e.Action, Target: e.Target, Detail: e.Detail}
}
