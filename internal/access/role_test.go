package access_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// matrix says who may do what, each way round: a permission that is not granted
// to a role is refused to it.
var matrix = map[access.Permission][]access.Role{
	access.ManageTenants:     {access.PlatformOperator},
	access.ManageBlocklist:   {access.PlatformOperator},
	access.ManageAccess:      {access.TenantAdministrator},
	access.ReadAccess:        {access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.Auditor},
	access.ManageTokens:      {access.PlatformOperator, access.TenantAdministrator},
	access.ReadConfiguration: {access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.RAOperator, access.FactoryOperator, access.DeviceManager, access.OEMPartner, access.Auditor},
	access.ManageAuthorities: {access.TenantAdministrator, access.PKIAdministrator},
	access.ManageProfiles:    {access.TenantAdministrator, access.PKIAdministrator},
	access.ManageEndpoints:   {access.TenantAdministrator, access.PKIAdministrator},
	access.Enroll:            {access.TenantAdministrator, access.RAOperator, access.FactoryOperator, access.OEMPartner},
	access.ManageSecrets:     {access.TenantAdministrator, access.RAOperator, access.FactoryOperator, access.OEMPartner},
	access.ManageBatches:     {access.TenantAdministrator, access.FactoryOperator, access.OEMPartner},
	access.ReadBatches:       {access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.RAOperator, access.FactoryOperator, access.OEMPartner, access.Auditor},
	access.ReadCertificates:  {access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.RAOperator, access.FactoryOperator, access.DeviceManager, access.OEMPartner, access.Auditor},
	access.Revoke:            {access.TenantAdministrator, access.SecurityOfficer, access.RAOperator, access.DeviceManager, access.OEMPartner},
	access.ReadEvents:        {access.PlatformOperator, access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.Auditor},
	access.ManageClock:       {access.PlatformOperator},
	access.ManageTrust:       {access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer},
	access.ReadAlarms:        {access.PlatformOperator, access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.DeviceManager, access.Auditor},
	access.ReadRegistry:      {access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.RAOperator, access.FactoryOperator, access.DeviceManager, access.OEMPartner, access.Auditor},
	access.ManageRegistry:    {access.TenantAdministrator, access.FactoryOperator, access.DeviceManager, access.OEMPartner},
	access.ManageDevices:     {access.TenantAdministrator, access.DeviceManager, access.OEMPartner},
	access.ReadQuotas:        {access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.FactoryOperator, access.OEMPartner, access.Auditor},
	access.ManageQuotas:      {access.TenantAdministrator},
	access.ReadApprovals:     {access.TenantAdministrator, access.PKIAdministrator, access.SecurityOfficer, access.RAOperator, access.Auditor},
	access.DecideApprovals:   {access.TenantAdministrator, access.SecurityOfficer, access.RAOperator},
	access.ManageApprovals:   {access.TenantAdministrator, access.SecurityOfficer},
	access.ManageChildren:    {access.TenantAdministrator},
	access.ManageRetention:   {access.TenantAdministrator, access.SecurityOfficer},
}

// constants returns the values of the package's constants of a type, as its source
// has them.
func constants[S ~string](t *testing.T, typeName string) []S {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "role.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []S
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typeName {
			return true
		}
		for _, v := range spec.Values {
			text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, S(text))
		}
		return true
	})
	slices.Sort(all)
	return all
}

func TestMatrixIsComplete(t *testing.T) {
	var listed []access.Permission
	for p := range matrix {
		listed = append(listed, p)
	}
	slices.Sort(listed)
	if diff := cmp.Diff(constants[access.Permission](t, "Permission"), listed); diff != "" {
		t.Errorf("the matrix and the permissions differ (-there are +listed):\n%s", diff)
	}
	roles := slices.Sorted(slices.Values(append(access.Roles(), access.Device, access.Enroller))) // which no token has
	if diff := cmp.Diff(constants[access.Role](t, "Role"), roles); diff != "" {
		t.Errorf("Roles and the roles differ (-there are +listed):\n%s", diff)
	}
}

// principal returns one with a role, in the tenant that the role belongs to.
func principal(role access.Role) access.Principal {
	tenant := pki.TenantID("acme")
	if role == access.PlatformOperator {
		tenant = pki.Platform
	}
	return access.Principal{Tenant: tenant, ID: "token:0abc", Name: "laptop", Grants: access.Given(role)}
}

func TestAuthorize(t *testing.T) {
	for permission, granted := range matrix {
		for _, role := range append(access.Roles(), "", "root") {
			who := principal(role)
			g, err := who.Authorize(permission, who.Tenant)
			may := slices.Contains(granted, role)
			if may != (err == nil) || may != (g.Check(permission) == nil) {
				t.Errorf("%s for %q: %v", permission, role, err)
			}
			if !may {
				if pki.KindOf(err) != pki.Forbidden {
					t.Errorf("%s for %q is refused as %s", permission, role, pki.KindOf(err))
				}
				if diff := cmp.Diff(access.Permit{}, g, cmp.AllowUnexported(access.Permit{}, access.Principal{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
					t.Errorf("a refusal comes with a grant:\n%s", diff)
				}
				continue
			}
			if g.Tenant() != who.Tenant || g.Actor() != "token:0abc (laptop)" {
				t.Errorf("the grant is for tenant %q and actor %q", g.Tenant(), g.Actor())
			}
		}
	}
}

// TestOtherTenant: to those outside it a tenant does not exist, but for the
// platform's operator.
func TestOtherTenant(t *testing.T) {
	for permission, granted := range matrix {
		for _, role := range granted {
			g, err := principal(role).Authorize(permission, "globex")
			switch {
			case role == access.PlatformOperator && (err != nil || g.Tenant() != "globex"):
				t.Errorf("%s for the platform's operator: %v", permission, err)
			case role != access.PlatformOperator && pki.KindOf(err) != pki.NotFound:
				t.Errorf("%s for %s in another tenant: %v", permission, role, err)
			}
			if _, err := principal(role).Authorize(permission, pki.Platform); role != access.PlatformOperator && pki.KindOf(err) != pki.NotFound {
				t.Errorf("%s for %s on the platform: %v", permission, role, err)
			}
		}
	}
}

func TestGrantIsForOnePermission(t *testing.T) {
	g, err := principal(access.TenantAdministrator).Authorize(access.ReadEvents, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for permission := range matrix {
		if err := g.Check(permission); (err == nil) != (permission == access.ReadEvents) {
			t.Errorf("a grant of %s for %s: %v", access.ReadEvents, permission, err)
		}
		if err := (access.Permit{}).Check(permission); pki.KindOf(err) != pki.Forbidden || err == nil {
			t.Errorf("the zero grant for %s: %v", permission, err)
		}
	}
	if err := (access.Permit{}).Check(""); err == nil {
		t.Error("the zero grant is of the empty permission")
	}
}

func TestZeroPrincipal(t *testing.T) {
	for permission := range matrix {
		for _, who := range []access.Principal{{}, {Grants: access.Given(access.PlatformOperator)}, {Tenant: "acme", Grants: access.Given(access.TenantAdministrator)}} {
			if _, err := who.Authorize(permission, who.Tenant); pki.KindOf(err) != pki.Forbidden || err == nil {
				t.Errorf("%s for one without an id: %v", permission, err)
			}
		}
	}
}

func TestSystem(t *testing.T) {
	who := access.System("acme", "batch")
	if !who.System() || principal(access.PlatformOperator).System() {
		t.Error("System does not tell pando itself from others")
	}
	for permission := range matrix {
		g, err := who.Authorize(permission, "acme")
		if err != nil || g.Check(permission) != nil || g.Actor() != "system:batch (batch)" {
			t.Errorf("%s: %v, actor %q", permission, err, g.Actor())
		}
		for _, other := range []pki.TenantID{"globex", pki.Platform} {
			if _, err := who.Authorize(permission, other); pki.KindOf(err) != pki.Forbidden || err == nil {
				t.Errorf("%s in %q: %v", permission, other, err)
			}
		}
	}
}

// TestDevice: one that proves itself by its certificate enrols, for itself, and does
// nothing else.
func TestDevice(t *testing.T) {
	who := access.Principal{Tenant: "acme", ID: "certificate:1", Grants: access.Given(access.Device)}
	if _, err := who.Authorize(access.Enroll, "acme"); pki.KindOf(err) != pki.Forbidden || err == nil {
		t.Errorf("without an id: %v", err)
	}
	who.Device = "SM-1"
	for permission := range matrix {
		g, err := who.Authorize(permission, "acme")
		if (err == nil) != (permission == access.Enroll) {
			t.Errorf("%s: %v", permission, err)
		}
		if err == nil && (g.CheckDevice("SM-1", access.Scope{}) != nil || pki.KindOf(g.CheckDevice("SM-2", access.Scope{})) != pki.Forbidden) {
			t.Error("it enrols for others")
		}
	}
	if slices.Contains(access.Roles(), access.Device) {
		t.Error("a token can have the role")
	}
}
