package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// An OwnRole is a role that a tenant has made for itself.
type OwnRole struct {
	Tenant      pki.TenantID
	Name        Role // a slug that no built-in role has
	Description string
	Permissions []Permission
	Created     time.Time
}

// MaxRoles is the largest number of a tenant's own roles.
const MaxRoles = 100

// maxDescription is the length of the longest description, in bytes.
const maxDescription = 400

// PermissionsOf returns what a built-in role includes; nil for any other.
func PermissionsOf(r Role) []Permission { return permissions[r] }

// Permissions returns every permission that a role of a tenant can include, in order.
func Permissions() []Permission {
	var all []Permission
	for _, of := range permissions {
		for _, p := range of {
			if !platformOnly(p) {
				all = append(all, p)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Lacking returns the permissions that others are not.
func Lacking(all, others []Permission) []Permission {
	return slices.DeleteFunc(slices.Clone(all), func(p Permission) bool { return slices.Contains(others, p) })
}

func ownRole(ctx context.Context, store ScopeStore, tenant pki.TenantID, name Role) (*OwnRole, error) {
	all, err := store.Roles(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(r *OwnRole) bool { return r.Name == name }); i >= 0 {
		return all[i], nil
	}
	return nil, pki.Errorf(pki.NotFound, "no own role %.60q", string(name))
}

// check refuses what no own role can be, and puts its permissions in order.
func (r *OwnRole) check() error {
	if err := pki.CheckSlug("role", string(r.Name)); err != nil {
		return err
	}
	if _, builtIn := permissions[r.Name]; builtIn {
		return pki.Errorf(pki.Malformed, "the role %s is built in: take another name", r.Name)
	}
	if len(r.Description) > maxDescription || strings.ContainsFunc(r.Description, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return pki.Errorf(pki.Malformed, "a description is one line of at most %d bytes", maxDescription)
	}
	if len(r.Permissions) == 0 {
		return pki.Errorf(pki.Malformed, "a role has one permission at least")
	}
	known := Permissions()
	for _, p := range r.Permissions {
		if !slices.Contains(known, p) {
			return pki.Errorf(pki.Malformed, "permission %.60q: it is one of %v", string(p), known)
		}
	}
	r.Permissions = slices.Compact(slices.Sorted(slices.Values(r.Permissions)))
	return nil
}

// forCertificates refuses permissions that nobody has by a certificate that somebody
// else may have issued: those to administer.
func forCertificates(all []Permission) error {
	may := []Permission{Enroll, ManageSecrets, ManageBatches, ReadBatches, ReadCertificates, Revoke, ReadConfiguration, ReadAccess, ReadEvents,
		ReadAlarms, ReadRegistry, ManageRegistry, ManageDevices, ReadQuotas, ReadApprovals}
	for _, p := range all {
		if !slices.Contains(may, p) {
			return pki.Errorf(pki.Malformed, "nobody has %s by a certificate: who administers would be up to whoever issues it", p)
		}
	}
	return nil
}
