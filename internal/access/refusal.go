package access

import (
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

// SeesNoTenant ends the detail of a refusal to a platform operator of what is of a
// tenant.
const SeesNoTenant = "a platform operator sees into no tenant"

// A Refusal is a Forbidden error that says what was missing, where.
type Refusal struct {
	Permission Permission
	Scope      Scope
	err        error // Forbidden, in words
}

// Error returns what was missing, in words.
func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap returns an error of kind Forbidden.
func (r *Refusal) Unwrap() error { return r.err }

// Refuse returns the Refusal of a permission at a place to somebody who has it, and may not
// use it for what they ask: why, in words.
func Refuse(permission Permission, where Scope, format string, args ...any) error {
	return &Refusal{permission, where, pki.Errorf(pki.Forbidden, format, args...)}
}

// refuse makes the Refusal of a permission at a place to a principal that has it on
// some scopes.
func refuse(who Principal, permission Permission, where Scope, has []Scope) error {
	const needs = "needs %s on %s; %s"
	id := who.ID
	if id == "" {
		id = "whoever asks"
	}
	switch {
	case len(has) > 0:
	case who.operator() && !slices.Contains(permissions[PlatformOperator], permission):
		return &Refusal{permission, where, pki.Errorf(pki.Forbidden, needs+" does not have it: %s", permission, where, id, SeesNoTenant)}
	default:
		return &Refusal{permission, where, pki.Errorf(pki.Forbidden, needs+" does not have it", permission, where, id)}
	}
	return &Refusal{permission, where, pki.Errorf(pki.Forbidden, needs+" has it on %s only", permission, where, id, ScopesText(has[:min(len(has), 10)]))}
}
