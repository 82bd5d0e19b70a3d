package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

type crlsInput struct {
	Caller
	Cursor string `query:"cursor" maxLength:"256" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many shards at most."`
}

type renewInput struct {
	Caller
	Issuer string `path:"issuer"`
	Body   client.CRLRenewal
}

func (s *server) listCRLs(ctx context.Context, g access.Permit, in *crlsInput) (*listOf[client.CRL], error) {
	lists, next, err := s.cfg.Revocation.Lists(ctx, g, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return each(lists, next, func(l revocation.ListState) client.CRL {
		return client.CRL{Issuer: string(l.Issuer), Shard: l.Shard, Delta: l.Delta, Number: l.Number,
			ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, URL: l.URL, Pending: l.Pending}
	}), nil
}

func (s *server) renewCRLs(ctx context.Context, g access.Permit, in *renewInput) (*struct{}, error) {
	shard := revocation.AllShards
	if in.Body.Shard != nil {
		shard = *in.Body.Shard
	}
	return nil, s.cfg.Revocation.Renew(ctx, g, pki.IssuerID(in.Issuer), shard)
}

func (s *server) listResponders(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Responder], error) {
	responders, err := s.cfg.Revocation.OCSPResponders(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(responders, "", func(r revocation.ResponderState) client.Responder {
		out := client.Responder{Issuer: string(r.Issuer), URL: r.URL, NotBefore: r.NotBefore, NotAfter: r.NotAfter}
		if r.Problem != nil {
			out.Problem = pki.DetailOf(r.Problem)
			return out
		}
		out.Serial, out.Certificate = r.Serial.String(), certificatePEM(r.Certificate)
		return out
	}), nil
}
