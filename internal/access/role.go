// Package access says who may do what: principals and their grants, which are roles
// as sets of permissions on scopes; permits, the typed proof that a check was made;
// and API tokens.
package access

import "slices"

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
	Device              Role = "device"               // of client certificates and enrolment secrets alone: it enrols for itself
	Enroller            Role = "enroller"             // of enrolment secrets, and of several proofs at once, alone: it enrols
)

// Roles lists every built-in role that a token can have.
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
	ManageAccess      Permission = "access.manage"      // own roles; grants to principals that are there
	ReadAccess        Permission = "access.read"        // roles, grants, and why somebody may do something
	ManageTrust       Permission = "trust.manage"       // whose client certificates prove somebody
	ReadConfiguration Permission = "configuration.read" // authorities, profiles, endpoints
	ManageAuthorities Permission = "authorities.manage"
	ManageProfiles    Permission = "profiles.manage"
	ManageEndpoints   Permission = "endpoints.manage"
	Enroll            Permission = "enroll"
	ManageSecrets     Permission = "secrets.manage" // give out what enrols at an endpoint, and take it back
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
	ReadApprovals     Permission = "approvals.read"   // the rules, and what waits
	DecideApprovals   Permission = "approvals.decide" // approve and refuse, in the role that a step is for
	ManageApprovals   Permission = "approvals.manage" // the rules: what needs whose approval
	ManageChildren    Permission = "children.manage"  // child tenants, and what is lent to them
)

// PlatformOnly reports whether platform operators alone have a permission: nobody can
// be granted it in a tenant.
func PlatformOnly(p Permission) bool {
	return slices.Contains(permissions[PlatformOperator], p) && !slices.Contains(permissions[TenantAdministrator], p)
}

var permissions = map[Role][]Permission{
	PlatformOperator: {ManageTenants, ManageBlocklist, ManageClock, ManageTokens, ReadEvents, ReadAlarms},
	TenantAdministrator: {ManageTokens, ManageAccess, ReadAccess, ManageTrust, ReadConfiguration, ManageAuthorities, ManageProfiles, ManageEndpoints,
		Enroll, ManageSecrets, ManageBatches, ReadBatches, ReadCertificates, Revoke, ReadEvents, ReadAlarms,
		ReadRegistry, ManageRegistry, ManageDevices, ManageRetention, ReadQuotas, ManageQuotas,
		ReadApprovals, DecideApprovals, ManageApprovals, ManageChildren},
	PKIAdministrator: {ReadAccess, ManageTrust, ReadConfiguration, ManageAuthorities, ManageProfiles, ManageEndpoints,
		ReadBatches, ReadCertificates, ReadEvents, ReadAlarms, ReadRegistry, ReadQuotas, ReadApprovals},
	SecurityOfficer: {ReadAccess, ManageTrust, ReadConfiguration, ReadBatches, ReadCertificates, Revoke, ReadEvents, ReadAlarms,
		ReadRegistry, ManageRetention, ReadQuotas, ReadApprovals, DecideApprovals, ManageApprovals},
	RAOperator: {ReadConfiguration, Enroll, ManageSecrets, ReadBatches, ReadCertificates, Revoke, ReadRegistry,
		ReadApprovals, DecideApprovals},
	FactoryOperator: {ReadConfiguration, Enroll, ManageSecrets, ManageBatches, ReadBatches, ReadCertificates,
		ReadRegistry, ManageRegistry, ReadQuotas},
	DeviceManager: {ReadConfiguration, ReadCertificates, Revoke, ReadAlarms, ReadRegistry, ManageRegistry, ManageDevices},
	OEMPartner: {ReadConfiguration, Enroll, ManageSecrets, ManageBatches, ReadBatches, ReadCertificates, Revoke,
		ReadRegistry, ManageRegistry, ManageDevices, ReadQuotas},
	Auditor: {ReadAccess, ReadConfiguration, ReadBatches, ReadCertificates, ReadEvents, ReadAlarms,
		ReadRegistry, ReadQuotas, ReadApprovals},
	Device:   {Enroll},
	Enroller: {Enroll},
}

// platformOnly are the permissions that no role of a tenant has.
func platformOnly(p Permission) bool {
	return slices.Contains([]Permission{ManageTenants, ManageBlocklist, ManageClock}, p)
}
