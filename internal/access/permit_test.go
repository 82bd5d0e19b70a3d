package access_test

import (
	"errors"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// holding returns the permit of Revoke in acme to a principal that has an RA
// operator's role on some scopes, beside an auditor's of the whole tenant.
func holding(t testing.TB, scopes ...string) access.Permit {
	t.Helper()
	who := principal(access.Auditor)
	for _, text := range scopes {
		who.Grants = append(who.Grants, access.Given(access.RAOperator, scope(t, text))...)
	}
	permit, err := who.Authorize(access.Revoke, "acme")
	if err != nil {
		t.Fatal(err)
	}
	return permit
}

func TestPermitOnScopes(t *testing.T) {
	for _, test := range []struct {
		has            []string
		where          string
		covers, toward bool
	}{
		{[]string{"tenant"}, "tenant", true, true},
		{[]string{"tenant"}, "site:s", true, true},
		{[]string{"site:s"}, "tenant", false, true},
		{[]string{"site:s"}, "site:s", true, true},
		{[]string{"site:s"}, "site:t", false, false},
		{[]string{"site:s"}, "authority:a", false, true},
		{[]string{"site:s", "site:t"}, "site:t", true, true},
		{[]string{"site:s", "tenant"}, "tenant", true, true},
		{[]string{"authority:a+site:s"}, "authority:a", false, true},
		{[]string{"authority:a+site:s", "authority:b"}, "authority:b+site:t", true, true},
		{[]string{"authority:a+site:s", "authority:b"}, "authority:a+site:t", false, false},
	} {
		permit, where := holding(t, test.has...), scope(t, test.where)
		if err := permit.CheckSome(access.Revoke); err != nil {
			t.Errorf("%v: somewhere: %v", test.has, err)
		}
		if got := permit.Covers(where); got != test.covers || (permit.CheckAt(access.Revoke, where) == nil) != got {
			t.Errorf("%v covers %s: %t", test.has, where, got)
		}
		if err := permit.CheckToward(access.Revoke, where); (err == nil) != test.toward {
			t.Errorf("%v toward %s: %v", test.has, where, err)
		}
		if (permit.Check(access.Revoke) == nil) != permit.Whole() {
			t.Errorf("%v on the whole tenant", test.has)
		}
		for _, other := range []error{permit.CheckSome(access.Enroll), permit.CheckAt(access.Enroll, where), permit.CheckToward(access.Enroll, where)} {
			if pki.KindOf(other) != pki.Forbidden || other == nil {
				t.Errorf("%v is good for another permission: %v", test.has, other)
			}
		}
	}
	if none := (access.Permit{}); none.Covers(access.Scope{}) || none.Whole() || none.CheckSome("") == nil || none.CheckToward("", access.Scope{}) == nil {
		t.Error("the zero permit covers something")
	}
}

// TestRefusalSays: permission and scope that were missing, and where they are had.
func TestRefusalSays(t *testing.T) {
	for want, err := range map[string]error{
		"needs certificates.revoke on product-line:pro; token:0abc has it on site:berlin, authority:a only": holding(t, "site:berlin", "authority:a").CheckAt(access.Revoke, access.Scope{ProductLine: "pro"}),
		"needs certificates.revoke on tenant; token:0abc has it on site:berlin only":                        holding(t, "site:berlin").Check(access.Revoke),
	} {
		r, ok := errors.AsType[*access.Refusal](err)
		if !ok || pki.KindOf(err) != pki.Forbidden || pki.DetailOf(err) != want || r.Permission != access.Revoke {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, err := principal(access.Auditor).Authorize(access.Revoke, "acme")
	if r, ok := errors.AsType[*access.Refusal](err); !ok || r.Error() != "needs certificates.revoke on tenant; token:0abc does not have it" {
		t.Error(err)
	}
	operator := principal(access.PlatformOperator)
	operator.Tenant = pki.Platform
	_, err = operator.Authorize(access.Revoke, pki.Platform)
	if r, ok := errors.AsType[*access.Refusal](err); !ok || r.Error() != "needs certificates.revoke on tenant; token:0abc does not have it: "+access.SeesNoTenant {
		t.Error(err)
	}
}

func TestPlatformOnly(t *testing.T) {
	for p, want := range map[access.Permission]bool{
		access.ManageTenants: true, access.ManageBlocklist: true, access.ManageClock: true,
		access.ManageTokens: false, access.ReadEvents: false, access.ReadAlarms: false, access.Revoke: false,
	} {
		if got := access.PlatformOnly(p); got != want {
			t.Errorf("%s: %t", p, got)
		}
	}
}

func TestPermitIncludes(t *testing.T) {
	for _, test := range []struct {
		now, before []string
		includes    bool
	}{
		{[]string{"tenant"}, []string{"tenant"}, true},
		{[]string{"tenant"}, []string{"site:s"}, true},
		{[]string{"site:s"}, []string{"tenant"}, false},
		{[]string{"site:s"}, []string{"site:s"}, true},
		{[]string{"site:s"}, []string{"site:s", "site:t"}, false},
		{[]string{"site:s", "site:t"}, []string{"site:t"}, true},
		{[]string{"site:s"}, []string{"authority:a+site:s"}, true},
		{[]string{"authority:a+site:s"}, []string{"site:s"}, false},
	} {
		if got := holding(t, test.now...).Includes(holding(t, test.before...)); got != test.includes {
			t.Errorf("%v includes %v: %t", test.now, test.before, got)
		}
	}
	if (access.Permit{}).Includes(access.Permit{}) {
		t.Error("the zero permit includes something")
	}
}

// TestEveryPermissionOnScopes: with each permission a grant on a scope is one on that
// scope alone.
func TestEveryPermissionOnScopes(t *testing.T) {
	for permission, roles := range matrix {
		for _, role := range roles {
			who := principal(role)
			who.Grants = access.Given(role, access.Scope{Site: "s"})
			permit, err := who.Authorize(permission, who.Tenant)
			if err != nil || permit.Check(permission) == nil || permit.CheckAt(permission, access.Scope{Site: "s"}) != nil || permit.CheckAt(permission, access.Scope{Site: "t"}) == nil {
				t.Errorf("%s of %s: %v", permission, role, err)
			}
		}
	}
}
