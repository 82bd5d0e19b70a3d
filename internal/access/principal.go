package access

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Principal is somebody or something that has proved who it is.
type Principal struct {
	Tenant  pki.TenantID
	ID      string       // as "token:0abc", "system:listener"
	Name    string       // for people to read
	Grants  []Grant      // what it may do: each of them; none with System
	Device  pki.DeviceID // the only one that it may enrol; "" is any, and never so with the role Device
	Subject []byte       // DER Name of a device's certificate; nil is none
	Names   []byte       // DER GeneralNames of it; nil is none
	Expires time.Time    // when its proof ends; zero with System
	Proofs  pki.Proofs   // how it proved who it is; none with System
	Source  netip.Addr   // where it asked from; the zero Addr where that is not known

	// Foreign says that somebody else names the device: its certificate is of no issuer of
	// pando's, or of another tenant's device. That it is the tenant's is for the registry
	// to say.
	Foreign bool
	// CSRSubject is the only subject that it may ask for, as tbs.Name prints it; "" is any
	// that the other rules allow.
	CSRSubject string
	// Once is the idempotency key of all that it asks for, "" for none: it enrols once,
	// and gets the same answer to the same request.
	Once string

	// Presented are the certificates of a client, in DER, that proved it; nil for a
	// token. They prove it again.
	Presented [][]byte

	// Certificate is the record of the client certificate that proved it, where one
	// of pando's own authorities issued that; nil is none.
	Certificate *pki.Certificate
	// Late says that the certificate has expired: it proves its own renewal alone.
	Late   bool
	system bool
}

// CertificatePrincipal begins the IDs of those whom a client certificate proves.
const CertificatePrincipal = "certificate:"

// System returns the principal for pando's own acts within a tenant: the
// certificates of its listeners and responders, and its workers.
func System(tenant pki.TenantID, what string) Principal {
	return Principal{Tenant: tenant, ID: "system:" + what, Name: what, system: true}
}

// System reports whether the principal is pando itself.
func (p Principal) System() bool { return p.system }

// Authorize returns the Permit of permission in tenant, or a Forbidden error. A
// principal has what its grants say in its own tenant only; a platform operator
// manages tokens in any tenant.
func (p Principal) Authorize(permission Permission, tenant pki.TenantID) (Permit, error) {
	permit := Permit{principal: p, permission: permission, tenant: tenant, valid: true}
	if p.system && p.Tenant == tenant {
		permit.whole = true
		return permit, nil
	}
	for i := range p.Grants {
		g := &p.Grants[i]
		if p.ID == "" || g.Role == Device && p.Device == "" || p.Late && permission != Enroll || !g.includes(permission) {
			continue
		}
		if permit.role == "" {
			permit.role = g.Role
		}
		if g.Scope == (Scope{}) {
			permit.whole = true
			break
		}
		permit.scopes = append(permit.scopes, g.Scope)
	}
	switch {
	case !permit.whole && len(permit.scopes) == 0:
		return Permit{}, refuse(p, permission, Scope{}, nil)
	case permit.whole:
		permit.scopes = nil
	}
	if p.Tenant == tenant || p.operator() {
		return permit, nil
	}
	return Permit{}, pki.Errorf(pki.NotFound, "no such tenant")
}

// operator reports whether the principal runs the deployment.
func (p Principal) operator() bool {
	return p.Tenant == pki.Platform && slices.ContainsFunc(p.Grants, func(g Grant) bool { return g.Role == PlatformOperator })
}

// checkGive is a *Refusal where the principal of a permit gives what it does not have:
// a role's permissions on some scopes. The permit is of the permission to give.
func (p Permit) checkGive(role Role, gives []Permission, scopes []Scope) error {
	if p.principal.system {
		return Refuse(p.permission, Scope{}, "pando itself grants no roles")
	}
	if p.principal.operator() && p.tenant != pki.Platform {
		if role == TenantAdministrator && slices.Equal(scopes, []Scope{{}}) {
			return nil
		}
		return Refuse(p.permission, Scope{}, "a platform operator appoints tenant administrators in a tenant, and nobody else there: they appoint the others")
	}
	for _, s := range scopes {
		if err := p.CheckAt(p.permission, s); err != nil {
			return err
		}
		for _, permission := range gives {
			had, err := p.principal.Authorize(permission, p.tenant)
			if err != nil {
				return refuse(p.principal, permission, s, nil)
			}
			if err := had.CheckAt(permission, s); err != nil {
				return err
			}
		}
	}
	return nil
}
