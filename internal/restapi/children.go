package restapi

import (
	"context"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

type newChildInput struct {
	Caller
	Body client.NewChild
}

type childInput struct {
	Caller
	Child string `path:"child"`
}

type appointmentInput struct {
	Caller
	Child string `path:"child"`
	Body  client.Appointment
}

type loanInput struct {
	Caller
	Child string `path:"child"`
	Loan  string `path:"loan"`
}

type newLoanInput struct {
	Caller
	Child string `path:"child"`
	Loan  string `path:"loan" maxLength:"40" doc:"A slug, unique within the child."`
	Body  client.NewLoan
}

func (s *server) listChildren(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Child], error) {
	children, err := s.cfg.Hierarchy.Children(ctx, g)
	if err != nil {
		return nil, err
	}
	return each(children, "", wireChild), nil
}

func (s *server) createChild(ctx context.Context, g access.Permit, in *newChildInput) (*answer[client.Child], error) {
	return childAnswer(s.cfg.Hierarchy.CreateChild(ctx, g, pki.TenantID(in.Body.ID), in.Body.Organization))
}

func (s *server) suspendChild(suspended bool) func(context.Context, access.Permit, *childInput) (*answer[client.Child], error) {
	return func(ctx context.Context, g access.Permit, in *childInput) (*answer[client.Child], error) {
		return childAnswer(s.cfg.Hierarchy.SuspendChild(ctx, g, pki.TenantID(in.Child), suspended))
	}
}

func (s *server) appoint(ctx context.Context, g access.Permit, in *appointmentInput) (*answer[client.CreatedToken], error) {
	t, secret, err := s.cfg.Tokens.Appoint(ctx, g, pki.TenantID(in.Child), in.Body.Name, time.Duration(in.Body.LifeSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return &answer[client.CreatedToken]{client.CreatedToken{APIToken: wireToken(t), Secret: client.TokenOf(secret.Reveal())}}, nil
}

func (s *server) listLent(ctx context.Context, g access.Permit, in *childInput) (*listOf[client.Loan], error) {
	return loans(s.cfg.Hierarchy.Lent(ctx, g, pki.TenantID(in.Child)))
}

func (s *server) lend(ctx context.Context, g access.Permit, in *newLoanInput) (*answer[client.Loan], error) {
	l, err := s.cfg.Hierarchy.Lend(ctx, g, pki.TenantID(in.Child), hierarchy.NewLoan{Name: in.Loan, Authority: in.Body.Authority, Profile: in.Body.Profile, Limit: in.Body.Limit})
	if err != nil {
		return nil, err
	}
	return &answer[client.Loan]{wireLoan(l)}, nil
}

func (s *server) takeBack(ctx context.Context, g access.Permit, in *loanInput) (*struct{}, error) {
	return nil, s.cfg.Hierarchy.TakeBack(ctx, g, pki.TenantID(in.Child), in.Loan)
}

func (s *server) listLoans(ctx context.Context, g access.Permit, _ *nothing) (*listOf[client.Loan], error) {
	return loans(s.cfg.Hierarchy.Loans(ctx, g))
}

func loans(all []*pki.Loan, err error) (*listOf[client.Loan], error) {
	if err != nil {
		return nil, err
	}
	return each(all, "", wireLoan), nil
}

func childAnswer(t *pki.Tenant, err error) (*answer[client.Child], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Child]{wireChild(t)}, nil
}

func wireChild(t *pki.Tenant) client.Child {
	return client.Child{ID: string(t.ID), Organization: t.Organization, Suspended: t.Suspended, Created: t.Created}
}

func wireLoan(l *pki.Loan) client.Loan {
	return client.Loan{Name: l.Name, Child: string(l.Child), Parent: string(l.Parent), Authority: l.AuthorityName, AuthorityID: string(l.Authority),
		Profile: l.Profile, Version: l.Version, Limit: l.Limit, Used: l.Used, Created: l.Created}
}
