package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Child is a child tenant as its parent sees it.
type Child struct {
	ID           string    `json:"id" example:"demo-oem"`
	Organization string    `json:"organization" doc:"The O of the subjects of its certificates."`
	Suspended    bool      `json:"suspended" doc:"Nobody of it is heard and nothing is issued to it; status goes on."`
	Created      time.Time `json:"created"`
}

// NewChild is what is asked for when a child tenant is created.
type NewChild struct {
	ID           string `json:"id" maxLength:"40" doc:"A slug of a-z, 0-9 and inner hyphens that begins with the parent's and a hyphen. It is never changed and never used again." example:"demo-oem"`
	Organization string `json:"organization" maxLength:"64" doc:"The O of the subjects of its certificates." example:"Example OEM"`
}

// An Appointment asks for a token of a child's administrator.
type Appointment struct {
	Name        string `json:"name" minLength:"1" maxLength:"100" doc:"Whose it is." example:"first administrator"`
	LifeSeconds int64  `json:"life_seconds,omitzero" minimum:"0" maximum:"63072000" doc:"How long it lives, from 60 seconds to two years. Default: 90 days."`
}

// A Loan is one of a parent's authorities that issues to a child, under one of the
// parent's profiles.
type Loan struct {
	Name        string    `json:"name" doc:"Unique within the child."`
	Child       string    `json:"child"`
	Parent      string    `json:"parent"`
	Authority   string    `json:"authority" doc:"Name of the parent's authority."`
	AuthorityID string    `json:"authority_id"`
	Profile     string    `json:"profile" doc:"Name of the parent's profile."`
	Version     int       `json:"version" doc:"The profile's version when it was lent last: it and later ones can be bound."`
	Limit       int64     `json:"limit" doc:"How many certificates it is for, once and for all."`
	Used        int64     `json:"used" doc:"How many were issued."`
	Created     time.Time `json:"created"`
}

// NewLoan is what a parent lends.
type NewLoan struct {
	Authority string `json:"authority" maxLength:"64" doc:"Name or id of one of the parent's own, that issues to devices." example:"manufacturing"`
	Profile   string `json:"profile" maxLength:"40" doc:"Name of one of the parent's own." example:"meter"`
	Limit     int64  `json:"limit" minimum:"0" maximum:"1000000000000" doc:"How many certificates there may be."`
}

// Children returns the children of the client's tenant.
func (c *Client) Children(ctx context.Context) ([]Child, error) {
	return list[Child](ctx, c, "/children")
}

// CreateChild creates a child tenant.
func (c *Client) CreateChild(ctx context.Context, n NewChild) (*Child, error) {
	return post[Child](ctx, c, "/children", n)
}

// SuspendChild has nobody of a child be heard and nothing be issued to it.
func (c *Client) SuspendChild(ctx context.Context, child string) (*Child, error) {
	return post[Child](ctx, c, "/children/"+url.PathEscape(child)+"/suspend", nil)
}

// ResumeChild ends a suspension.
func (c *Client) ResumeChild(ctx context.Context, child string) (*Child, error) {
	return post[Child](ctx, c, "/children/"+url.PathEscape(child)+"/resume", nil)
}

// Appoint creates a token for an administrator of a child.
func (c *Client) Appoint(ctx context.Context, child string, n Appointment) (*CreatedToken, error) {
	return post[CreatedToken](ctx, c, "/children/"+url.PathEscape(child)+"/administrators", n)
}

// Lend lends to a child, or changes the limit of what is lent.
func (c *Client) Lend(ctx context.Context, child, loan string, n NewLoan) (*Loan, error) {
	out := new(Loan)
	return orNil(out, c.do(ctx, call{method: http.MethodPut, path: lentPath(child, loan)}, n, out))
}

// TakeBack ends a loan.
func (c *Client) TakeBack(ctx context.Context, child, loan string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: lentPath(child, loan)}, nil, nil)
}

func lentPath(child, loan string) string {
	return "/children/" + url.PathEscape(child) + "/loans/" + url.PathEscape(loan)
}

// Lent returns what was lent to a child of the client's tenant.
func (c *Client) Lent(ctx context.Context, child string) ([]Loan, error) {
	return list[Loan](ctx, c, "/children/"+url.PathEscape(child)+"/loans")
}

// Loans returns what was lent to the client's tenant.
func (c *Client) Loans(ctx context.Context) ([]Loan, error) { return list[Loan](ctx, c, "/loans") }
