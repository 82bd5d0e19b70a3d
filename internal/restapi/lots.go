package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/registry"
)

type lotsInput struct {
	Caller
	ProductLine string `query:"product_line" maxLength:"128" doc:"Default: any."`
	Site        string `query:"site" maxLength:"128" doc:"Default: any."`
	State       string `query:"state" enum:"open,closed" doc:"Default: any."`
	Cursor      string `query:"cursor" maxLength:"512" doc:"The next of the page before."`
	Limit       int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type newLotInput struct {
	Caller
	Body client.NewLot
}

type lotChangeInput struct {
	Caller
	Name string `path:"name"`
	Body client.LotChange
}

func (s *server) listLots(ctx context.Context, g access.Permit, in *lotsInput) (*listOf[client.Lot], error) {
	f := registry.LotFilter{ProductLine: in.ProductLine, Site: in.Site, State: registry.LotState(in.State)}
	page, err := s.cfg.Registry.Lots(ctx, g, f, registry.Paging{Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	return each(page.Items, page.Next, wireLot), nil
}

func (s *server) createLot(ctx context.Context, g access.Permit, in *newLotInput) (*answer[client.Lot], error) {
	return lotAnswer(s.cfg.Registry.CreateLot(ctx, g, registry.Lot{
		Name: in.Body.Name, ProductLine: in.Body.ProductLine, Site: in.Body.Site, Ordered: in.Body.Ordered,
	}))
}

func (s *server) getLot(ctx context.Context, g access.Permit, in *nameInput) (*answer[client.Lot], error) {
	got, err := lotAnswer(s.cfg.Registry.Lot(ctx, g, in.Name))
	if err != nil {
		return nil, err
	}
	counts, err := s.cfg.LotReports.Counts(ctx, g, in.Name)
	if err != nil {
		return nil, err
	}
	got.Body.Counts = (*client.LotCounts)(counts)
	return got, nil
}

func (s *server) changeLot(ctx context.Context, g access.Permit, in *lotChangeInput) (*answer[client.Lot], error) {
	return lotAnswer(s.cfg.Registry.ChangeLot(ctx, g, in.Name, registry.LotChange(in.Body)))
}

func lotAnswer(l *registry.Lot, err error) (*answer[client.Lot], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Lot]{wireLot(l)}, nil
}

func wireLot(l *registry.Lot) client.Lot {
	return client.Lot{Name: l.Name, ProductLine: l.ProductLine, Site: l.Site, Ordered: l.Ordered,
		State: string(l.State), By: l.Actor, Created: l.Created, Closed: l.Closed}
}

type closeLotInput struct {
	Caller
	Name string `path:"name"`
	Body client.LotClosing
}

func (s *server) closeLot(ctx context.Context, g access.Permit, in *closeLotInput) (*answer[client.LotReport], error) {
	return reportAnswer(s.cfg.LotReports.Close(ctx, g, in.Name, in.Body.Scrapped))
}

func (s *server) lotReport(ctx context.Context, g access.Permit, in *nameInput) (*answer[client.LotReport], error) {
	return reportAnswer(s.cfg.LotReports.Report(ctx, g, in.Name))
}

func (s *server) lotReportKey(ctx context.Context, g access.Permit, _ *nothing) (*answer[client.LotReportKey], error) {
	key, err := s.cfg.LotReports.Key(ctx, g)
	if err != nil {
		return nil, err
	}
	return &answer[client.LotReportKey]{client.LotReportKey{Key: key}}, nil
}

func reportAnswer(text string, err error) (*answer[client.LotReport], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.LotReport]{client.LotReport{Report: text}}, nil
}
