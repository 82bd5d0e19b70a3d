// Package access says who may do what: principals, roles as sets of permissions,
// grants as the typed proof that a check was made, and API tokens.
package access

import (
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A Role is a named set of permissions.
type Role string

// The roles.
const (
	PlatformOperator    Role = "platform-operator"    // runs the deployment; sees into no tenant
	TenantAdministrator Role = "tenant-administrator" // all that a tenant may do
	PKIAdministrator    Role = "pki-administrator"    // authorities, profiles, endpoints
	SecurityOfficer     Role = "security-officer"     // decides on what others change; revokes; trust
	RAOperator          Role = "ra-operator"          // enrols and revokes, one by one
	FactoryOperator     Role = "factory-operator"     // batches of a plant
	DeviceManager       Role = "device-manager"       // devices in the field
	OEMPartner          Role = "oem-partner"          // a partner's people: their devices and certificates
	Auditor             Role = "auditor"              // reads all, changes nothing
	Device              Role = "device"               // of client certificates alone: it enrols for itself
)

// Roles lists every role that a token can have.
func Roles() []Role {
	return []Role{PlatformOperator, TenantAdministrator, PKIAdministrator, SecurityOfficer, RAOperator,
		FactoryOperator, DeviceManager, OEMPartner, Auditor}
}

// A Permission is one thing that a principal may do within a tenant.
type Permission string

// The permissions.
const (
	ManageTenants     Permission = "tenants.manage"     // create and list tenants; platform only
	ManageBlocklist   Permission = "blocklist.manage"   // load refused keys; platform only
	ManageClock       Permission = "clock.manage"       // accept a node's clock; platform only
	ManageTokens      Permission = "tokens.manage"      // create, list and revoke a tenant's tokens
	ManageTrust       Permission = "trust.manage"       // whose client certificates prove somebody
	ReadConfiguration Permission = "configuration.read" // authorities, profiles, endpoints
	ManageAuthorities Permission = "authorities.manage"
	ManageProfiles    Permission = "profiles.manage"
	ManageEndpoints   Permission = "endpoints.manage"
	Enroll            Permission = "enroll"
	ManageBatches     Permission = "batches.manage" // submit, issue, pause, resume, cancel
	ReadBatches       Permission = "batches.read"
	ReadCertificates  Permission = "certificates.read"
	Revoke            Permission = "certificates.revoke"
	ReadEvents        Permission = "events.read"
	ReadAlarms        Permission = "alarms.read" // what is wrong now; on the platform of every tenant
	ReadRegistry      Permission = "registry.read"
	ManageRegistry    Permission = "registry.manage"  // product lines, lots, sites; devices before they enrol
	ManageDevices     Permission = "devices.manage"   // the states of devices, and with them their certificates
	ManageRetention   Permission = "retention.manage" // how long expired certificates stay; archiving them
	ReadQuotas        Permission = "quotas.read"      // how many certificates there may be, and are
	ManageQuotas      Permission = "quotas.manage"
)

var permissions = map[Role][]Permission{
	PlatformOperator: {ManageTenants, ManageBlocklist, ManageClock, ManageTokens, ReadEvents, ReadAlarms},
	TenantAdministrator: {ManageTokens, ManageTrust, ReadConfiguration, ManageAuthorities, ManageProfiles, ManageEndpoints,
		Enroll, ManageBatches, ReadBatches, ReadCertificates, Revoke, ReadEvents, ReadAlarms,
		ReadRegistry, ManageRegistry, ManageDevices, ManageRetention, ReadQuotas, ManageQuotas},
	PKIAdministrator: {ManageTrust, ReadConfiguration, ManageAuthorities, ManageProfiles, ManageEndpoints,
		ReadBatches, ReadCertificates, ReadEvents, ReadAlarms, ReadRegistry, ReadQuotas},
	SecurityOfficer: {ManageTrust, ReadConfiguration, ReadBatches, ReadCertificates, Revoke, ReadEvents, ReadAlarms,
		ReadRegistry, ManageRetention, ReadQuotas},
	RAOperator: {ReadConfiguration, Enroll, ReadBatches, ReadCertificates, Revoke, ReadRegistry},
	FactoryOperator: {ReadConfiguration, Enroll, ManageBatches, ReadBatches, ReadCertificates,
		ReadRegistry, ManageRegistry, ReadQuotas},
	DeviceManager: {ReadConfiguration, ReadCertificates, Revoke, ReadAlarms, ReadRegistry, ManageRegistry, ManageDevices},
	OEMPartner: {ReadConfiguration, Enroll, ManageBatches, ReadBatches, ReadCertificates, Revoke,
		ReadRegistry, ManageRegistry, ManageDevices, ReadQuotas},
	Auditor: {ReadConfiguration, ReadBatches, ReadCertificates, ReadEvents, ReadAlarms,
		ReadRegistry, ReadQuotas},
	Device: {Enroll},
}

// A Principal is somebody or something that has proved who it is.
type Principal struct {
	Tenant    pki.TenantID
	ID        string       // as "token:0abc", "system:listener"
	Name      string       // for people to read
	Role      Role         // "" with System
	Endpoints []string     // names of the endpoints it may enrol at; empty is all of its tenant
	Device    pki.DeviceID // the only one that it may enrol; "" is any, and never so with the role Device
	Subject   []byte       // DER Name of a device's certificate; nil is none
	Names     []byte       // DER GeneralNames of it; nil is none
	Expires   time.Time    // when its proof ends; zero with System
	system    bool
}

// System returns the principal for pando's own acts within a tenant: the
// certificates of its listeners and responders, and its workers.
func System(tenant pki.TenantID, what string) Principal {
	return Principal{Tenant: tenant, ID: "system:" + what, Name: what, system: true}
}

// System reports whether the principal is pando itself.
func (p Principal) System() bool { return p.system }

// A Permit is the proof that a principal was found to have a permission in a
// tenant. Its zero value proves nothing.
type Permit struct {
	principal  Principal
	permission Permission
	tenant     pki.TenantID
	valid      bool
}

// Authorize returns the Permit of permission in tenant, or a Forbidden error. A
// principal has its role's permissions in its own tenant only; a platform
// operator manages tokens in any tenant.
func (p Principal) Authorize(permission Permission, tenant pki.TenantID) (Permit, error) {
	granted := Permit{principal: p, permission: permission, tenant: tenant, valid: true}
	if p.system && p.Tenant == tenant {
		return granted, nil
	}
	if p.Role == Device && p.Device == "" {
		return Permit{}, pki.Errorf(pki.Forbidden, "a device that has no id may do nothing")
	}
	if p.ID == "" || !slices.Contains(permissions[p.Role], permission) {
		return Permit{}, pki.Errorf(pki.Forbidden, "the role %s does not include %s", orNone(p.Role), permission)
	}
	if p.Tenant == tenant || p.Role == PlatformOperator {
		return granted, nil
	}
	return Permit{}, pki.Errorf(pki.NotFound, "no such tenant")
}

// Check reports whether the permit is one of permission; it must precede every
// act. A permit of another permission, or the zero Permit, is a Forbidden error.
func (m Permit) Check(permission Permission) error {
	if !m.valid || m.permission != permission {
		return pki.Errorf(pki.Forbidden, "not authorised for %s", permission)
	}
	return nil
}

// Tenant returns the tenant that the permit is for.
func (m Permit) Tenant() pki.TenantID { return m.tenant }

// Actor returns who acts, for events: the principal's ID and name.
func (m Permit) Actor() string {
	if m.principal.Name == "" {
		return m.principal.ID
	}
	return m.principal.ID + " (" + m.principal.Name + ")"
}

// Principal returns who acts.
func (m Permit) Principal() Principal { return m.principal }

// CheckEndpoint reports whether the principal may use the endpoint with the
// given name; to one outside its scope the endpoint does not exist.
func (m Permit) CheckEndpoint(name string) error {
	if s := m.principal.Endpoints; len(s) > 0 && !slices.Contains(s, name) {
		return pki.Errorf(pki.NotFound, "no endpoint %q", name)
	}
	return nil
}

// CheckDevice reports whether the principal may enrol the device with the given id.
func (m Permit) CheckDevice(id pki.DeviceID) error {
	if own := m.principal.Device; own != "" && own != id {
		return pki.Errorf(pki.Forbidden, "a device enrols for itself alone, and this certificate is that of %s", own)
	}
	return nil
}

// CheckWhole refuses a principal whose scope is some endpoints, for what is not
// kept by endpoint and so is read as a whole.
func (m Permit) CheckWhole() error {
	if len(m.principal.Endpoints) > 0 {
		return pki.Errorf(pki.Forbidden, "this token is for some endpoints only; reading certificates is for the whole tenant")
	}
	return nil
}

// checkScope is Forbidden where a token with the given endpoints could enrol at
// more of them than the principal may.
func (m Permit) checkScope(endpoints []string) error {
	own := m.principal.Endpoints
	if len(own) == 0 {
		return nil
	}
	beyond := func(name string) bool { return !slices.Contains(own, name) }
	if len(endpoints) == 0 || slices.ContainsFunc(endpoints, beyond) {
		return pki.Errorf(pki.Forbidden, "your own token is bound to the endpoints %v: name some of them", own)
	}
	return nil
}

func orNone(r Role) Role {
	if r == "" {
		return "(none)"
	}
	return r
}
