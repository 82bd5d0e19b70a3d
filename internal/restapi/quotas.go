package restapi

import (
	"context"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/quota"
)

type quotaInput struct {
	Caller
	Quota string `path:"quota" maxLength:"200" doc:"tenant, authority:NAME, profile:NAME, product-line:NAME or endpoint:NAME."`
}

type setQuotaInput struct {
	Caller
	Quota string `path:"quota" maxLength:"200" doc:"tenant, authority:NAME, profile:NAME, product-line:NAME or endpoint:NAME."`
	Body  client.NewQuota
}

func (s *server) listQuotas(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Quota], error) {
	all, err := s.cfg.Quotas.Quotas(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(all, "", wireQuota), nil
}

func (s *server) setQuota(ctx context.Context, g access.Permit, in *setQuotaInput) (*answer[client.Quota], error) {
	target, err := quota.ParseTarget(in.Quota)
	if err != nil {
		return nil, err
	}
	q, err := s.cfg.Quotas.Set(ctx, g, target, in.Body.Limit)
	if err != nil {
		return nil, err
	}
	return &answer[client.Quota]{wireQuota(q)}, nil
}

func (s *server) removeQuota(ctx context.Context, g access.Permit, in *quotaInput) (*struct{}, error) {
	target, err := quota.ParseTarget(in.Quota)
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Quotas.Remove(ctx, g, target)
}

func wireQuota(q *quota.Quota) client.Quota {
	return client.Quota{Quota: q.Target.String(), Limit: q.Limit, Used: q.Used, Counting: q.Counting, By: q.Actor, Changed: q.Changed}
}
