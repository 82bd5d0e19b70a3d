package access

import (
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

// A Permit is the proof that a principal was found to have a permission in a
// tenant, on all of it or on some scopes. Its zero value proves nothing.
type Permit struct {
	principal  Principal
	permission Permission
	tenant     pki.TenantID
	role       Role    // of the first grant that has the permission
	whole      bool    // on the whole tenant; then scopes is empty
	scopes     []Scope // of the grants that have the permission
	valid      bool
	change     Change
}

// Check reports whether the permit is one of permission on the whole tenant; a check
// must precede every act. What is somewhere in a tenant is checked with CheckAt, what
// is listed with CheckSome and Covers.
func (p Permit) Check(permission Permission) error { return p.CheckAt(permission, Scope{}) }

// CheckAt reports whether the permit is one of permission where a thing is. A permit
// of another permission or on other scopes, or the zero Permit, is a *Refusal.
func (p Permit) CheckAt(permission Permission, where Scope) error {
	if err := p.CheckSome(permission); err != nil {
		return err
	}
	if !p.Covers(where) {
		return refuse(p.principal, permission, where, p.scopes)
	}
	return nil
}

// CheckToward reports whether the permit is one of permission on something that agrees
// with where, as far as that is known. Once more is known CheckAt must follow.
func (p Permit) CheckToward(permission Permission, where Scope) error {
	if err := p.CheckSome(permission); err != nil {
		return err
	}
	if !p.whole && !slices.ContainsFunc(p.scopes, where.Meets) {
		return refuse(p.principal, permission, where, p.scopes)
	}
	return nil
}

// CheckAll reports whether the permit is one of permission on each of some scopes; nil is
// the whole tenant.
func (p Permit) CheckAll(permission Permission, scopes []Scope) error {
	if scopes == nil {
		return p.Check(permission)
	}
	for _, s := range scopes {
		if err := p.CheckAt(permission, s); err != nil {
			return err
		}
	}
	return nil
}

// CheckSome reports whether the permit is one of permission somewhere in the tenant:
// for lists that show what Covers covers, and for what belongs to no place.
func (p Permit) CheckSome(permission Permission) error {
	if !p.valid || p.permission != permission {
		return refuse(p.principal, permission, Scope{}, nil)
	}
	return nil
}

// Covers reports whether what is at where is within the permit.
func (p Permit) Covers(where Scope) bool {
	return p.valid && (p.whole || slices.ContainsFunc(p.scopes, func(s Scope) bool { return s.Covers(where) }))
}

// Whole reports whether the permit is on the whole tenant, so that nothing has to be
// looked up to know where it is.
func (p Permit) Whole() bool { return p.valid && p.whole }

// Includes reports whether the permit covers all that an earlier one did.
func (p Permit) Includes(earlier Permit) bool {
	if !p.valid || p.permission != earlier.permission || p.tenant != earlier.tenant {
		return false
	}
	return p.whole || !earlier.whole && !slices.ContainsFunc(earlier.scopes, func(s Scope) bool { return !p.Covers(s) })
}

// Tenant returns the tenant that the permit is for.
func (p Permit) Tenant() pki.TenantID { return p.tenant }

// Role returns the role by which the principal has the permission, of several the
// first; "" with System.
func (p Permit) Role() Role { return p.role }

// Actor returns who acts, for events: the principal's ID and name.
func (p Permit) Actor() string {
	if p.principal.Name == "" {
		return p.principal.ID
	}
	return p.principal.ID + " (" + p.principal.Name + ")"
}

// Principal returns who acts.
func (p Permit) Principal() Principal { return p.principal }

// CheckDevice reports whether the principal may enrol the device with the given id. Its
// error says where that was refused.
func (p Permit) CheckDevice(id pki.DeviceID, where Scope) error {
	if own := p.principal.Device; own != "" && own != id {
		return Refuse(Enroll, where, "a device enrols for itself alone, and this is the proof of %s", own)
	}
	return nil
}
