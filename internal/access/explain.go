package access

import (
	"context"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

// An Explanation says whether a principal has a permission on a scope, and why.
type Explanation struct {
	Allowed bool
	Ended   bool // there is no such principal, or no more
	Grants  []Reason
}

// A Reason is what one grant of the principal says about it.
type Reason struct {
	Grant
	Includes bool // its role includes the permission
	Covers   bool // its scope covers the one that was asked for
}

// Explain says whether a token, or whoever a trusted authority certifies, has a
// permission on a scope: the grants that make it so come first, then those that come
// nearest. A scope that names what is not there is Malformed. It needs ReadAccess.
func (o *Office) Explain(ctx context.Context, p Permit, principal string, permission Permission, s Scope) (*Explanation, error) {
	if err := p.Check(ReadAccess); err != nil {
		return nil, err
	}
	if !slices.Contains(Permissions(), permission) && !platformOnly(permission) {
		return nil, pki.Errorf(pki.Malformed, "permission %.60q: it is one of %v", string(permission), Permissions())
	}
	if err := checkScopes(ctx, o.cfg.Store, p.tenant, []Scope{s}); err != nil {
		return nil, err
	}
	all, err := o.cfg.Store.Grants(ctx, p.tenant, principal, "")
	if err != nil {
		return nil, err
	}
	holder, err := o.cfg.Store.Holder(ctx, p.tenant, principal, o.cfg.Now())
	if err != nil {
		return nil, err
	}
	active := holder != ""
	out := &Explanation{Ended: !active}
	for _, g := range all {
		r := Reason{Grant: g, Includes: g.includes(permission), Covers: g.Scope.Covers(s)}
		out.Grants = append(out.Grants, r)
		out.Allowed = out.Allowed || active && r.Includes && r.Covers
	}
	slices.SortStableFunc(out.Grants, func(a, b Reason) int { return b.near() - a.near() })
	return out, nil
}

// near is how much of what was asked for a grant has; the right thing elsewhere is
// nearer than another thing here.
func (r *Reason) near() (n int) {
	if r.Includes {
		n += 2
	}
	if r.Covers {
		n++
	}
	return n
}
