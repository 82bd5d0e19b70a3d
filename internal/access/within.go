package access

import (
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

// A Within says in which product lines and sites somebody has a permission, of whom it
// is known who, and of what is done all but where its device is. It outlives the permit:
// what waits is held against it when it is done.
type Within struct {
	who        Principal
	permission Permission
	where      Scope
	scopes     []Scope
}

// NewWithin returns the Within of whoever has a permission on some scopes, none of them
// being the whole tenant, for what is at where; nil where that is within wherever its
// device is.
func NewWithin(who string, permission Permission, where Scope, scopes []Scope) *Within {
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(s Scope) bool { return s.Covers(where) }) {
		return nil
	}
	return &Within{Principal{ID: who}, permission, where, scopes}
}

// Within returns what is left of the permit to check for what is at where, nil for
// nothing.
func (p Permit) Within(where Scope) *Within {
	if p.whole {
		return nil
	}
	return NewWithin(p.principal.ID, p.permission, where, p.scopes)
}

// Scopes returns the scopes that the permit is on; nil is the whole tenant.
func (p Permit) Scopes() []Scope { return p.scopes }

// CheckAt is a *Refusal where a device is outside.
func (w *Within) CheckAt(is pki.Placement) error {
	where := w.where
	where.ProductLine, where.Site = is.ProductLine, is.Site
	if slices.ContainsFunc(w.scopes, func(s Scope) bool { return s.Covers(where) }) {
		return nil
	}
	return refuse(w.who, w.permission, where, w.scopes)
}
