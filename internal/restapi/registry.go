package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/registry"
)

type nameInput struct {
	Caller
	Name string `path:"name"`
}

type placesInput struct {
	Caller
	Cursor string `query:"cursor" maxLength:"512" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type newPlaceInput struct {
	Caller
	Body client.NewPlace
}

type placeChangeInput struct {
	Caller
	Name string `path:"name"`
	Body client.PlaceChange
}

type registryInput struct {
	Caller
	Body client.Registry
}

// The operations on product lines and on sites are the same, each of its kind.

func (s *server) listPlaces(kind registry.PlaceKind) func(context.Context, access.Permit, *placesInput) (*listOf[client.Place], error) {
	return func(ctx context.Context, g access.Permit, in *placesInput) (*listOf[client.Place], error) {
		page, err := s.cfg.Registry.Places(ctx, g, kind, registry.Paging{Cursor: in.Cursor, Limit: in.Limit})
		if err != nil {
			return nil, err
		}
		return each(page.Items, page.Next, wirePlace), nil
	}
}

func (s *server) createPlace(kind registry.PlaceKind) func(context.Context, access.Permit, *newPlaceInput) (*answer[client.Place], error) {
	return func(ctx context.Context, g access.Permit, in *newPlaceInput) (*answer[client.Place], error) {
		return placeAnswer(s.cfg.Registry.CreatePlace(ctx, g, kind, in.Body.Name, in.Body.Description))
	}
}

func (s *server) getPlace(kind registry.PlaceKind) func(context.Context, access.Permit, *nameInput) (*answer[client.Place], error) {
	return func(ctx context.Context, g access.Permit, in *nameInput) (*answer[client.Place], error) {
		return placeAnswer(s.cfg.Registry.Place(ctx, g, kind, in.Name))
	}
}

func (s *server) changePlace(kind registry.PlaceKind) func(context.Context, access.Permit, *placeChangeInput) (*answer[client.Place], error) {
	return func(ctx context.Context, g access.Permit, in *placeChangeInput) (*answer[client.Place], error) {
		return placeAnswer(s.cfg.Registry.DescribePlace(ctx, g, kind, in.Name, in.Body.Description))
	}
}

func placeAnswer(p *registry.Place, err error) (*answer[client.Place], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Place]{wirePlace(p)}, nil
}

func wirePlace(p *registry.Place) client.Place {
	return client.Place{Name: p.Name, Description: p.Description, By: p.Actor, Created: p.Created}
}

func (s *server) getRegistry(ctx context.Context, g access.Permit, _ *nothing) (*answer[client.Registry], error) {
	strict, err := s.cfg.Registry.Strict(ctx, g)
	if err != nil {
		return nil, err
	}
	return &answer[client.Registry]{client.Registry{Strict: strict}}, nil
}

func (s *server) changeRegistry(ctx context.Context, g access.Permit, in *registryInput) (*answer[client.Registry], error) {
	if err := s.cfg.Registry.SetStrict(ctx, g, in.Body.Strict); err != nil {
		return nil, err
	}
	return &answer[client.Registry]{in.Body}, nil
}
